"""What is asked of tasks that the driver does not have, does not have any more, or is asked of twice.

The same calls were made by Nomad's own Go client; what it does with an answer is in
plugins/drivers/client.go of Nomad.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import rig
from jail_driver.agent.client import DriverClient
from jail_driver.agent.stub import PluginError
from jail_driver.model import Handle, HandleState
from operate.operating import SLEEP, task

pytestmark = rig.needs_root

UNKNOWN = "00000000-0000-0000-0000-000000000000/web/00000000"

ASKED: dict[str, Callable[[DriverClient], Awaitable[object]]] = {
    "inspect": lambda client: client.inspect(UNKNOWN),
    "wait": lambda client: client.wait(UNKNOWN),
    "signal": lambda client: client.signal(UNKNOWN, "SIGHUP"),
    "exec": lambda client: client.exec(UNKNOWN, ("true",), 1.0),
}

FOREIGN = {
    "empty": (Handle(1, HandleState.RUNNING, b"", None), "names no task"),
    "newer": (Handle(99, HandleState.RUNNING, b"{}", None), "a newer driver made it"),
    "not text": (Handle(1, HandleState.RUNNING, b"\xc1\xff\0", None), "cannot be read"),
    "msgpack": (Handle(1, HandleState.RUNNING, b"\x81\xa4name\xa3foo", None), "cannot be read"),
    "a list": (Handle(1, HandleState.RUNNING, b"[]", None), "cannot be read"),
    "nothing": (Handle(1, HandleState.RUNNING, b"null", None), "cannot be read"),
    "no id": (Handle(1, HandleState.RUNNING, b'{"version": 1}', None), "cannot be read"),
    "a number": (Handle(1, HandleState.RUNNING, b'{"task_id": 5}', None), "names no task"),
}


def test_a_task_that_is_unknown(host: rig.Host) -> None:
    """Stopping and destroying it is done already; everything else says which task is missing."""

    async def scenario() -> None:
        async with rig.plugin(host) as plugin:
            await plugin.client.stop(UNKNOWN, timeout_s=1, signal="SIGTERM")
            await plugin.client.destroy(UNKNOWN, force=True)
            await plugin.client.destroy(UNKNOWN)
            for name, ask in ASKED.items():
                with pytest.raises(PluginError, match=f"no task '{UNKNOWN}'") as refused:
                    await ask(plugin.client)
                assert refused.value.code == "NOT_FOUND", name

    asyncio.run(scenario())


def test_a_handle_that_is_none_of_ours(host: rig.Host) -> None:
    """It is refused with what is wrong with it, as a known error: Nomad then starts the task anew."""

    async def scenario() -> None:
        async with rig.plugin(host) as plugin:
            for name, (handle, says) in FOREIGN.items():
                with pytest.raises(PluginError, match=f"RecoverTask: the handle .*{says}") as refused:
                    await plugin.client.recover(handle)
                assert refused.value.code == "NOT_FOUND", name

    asyncio.run(scenario())


def test_the_same_id_once_more(host: rig.Host) -> None:
    """While the task is there a start is joined; a destroyed one, or a refused one, does not come back."""
    before = host.snapshot()

    async def scenario() -> None:
        spec, bad = host.spec(SLEEP), host.spec({"Exec_start": "/no/such"})
        async with rig.plugin(host) as plugin:
            first, *others = await asyncio.gather(*(plugin.start(spec) for _ in range(3)))
            assert all(other.handle.driver_state == first.handle.driver_state for other in others)
            await plugin.client.destroy(spec.id, force=True)
            with pytest.raises(PluginError, match="Nomad must use a new id") as refused:
                await plugin.start(spec)
            assert (refused.value.code, refused.value.recoverable) == ("FAILED_PRECONDITION", True)
            for _ in range(2):
                with pytest.raises(PluginError, match="no such program") as refused:
                    await plugin.start(bad)
                assert refused.value.code == "FAILED_PRECONDITION"

    asyncio.run(scenario())
    host.wait_clean(before)


def test_waiting_twice_and_giving_up(host: rig.Host) -> None:
    """A caller that goes away takes nothing with it; every other one learns the same."""

    async def scenario() -> None:
        start = {"Exec_start": 'trap "exit 7" TERM; touch /local/up; while sleep 0.05; do :; done'}
        async with task(host, start) as (plugin, spec):
            up = Path(spec.alloc_dir, "web/local/up")
            await rig.until("main is ready", up.exists)
            left, *waiting = (asyncio.ensure_future(plugin.client.wait(spec.id)) for _ in range(3))
            await asyncio.sleep(0.2)
            left.cancel()
            with pytest.raises(PluginError, match="stop it first or use force"):
                await plugin.client.destroy(spec.id)
            await plugin.client.stop(spec.id, timeout_s=5, signal="SIGTERM")
            ends = [*await asyncio.gather(*waiting), await plugin.client.wait(spec.id)]
            assert [(end.exit_code, end.signal, end.error) for end in ends] == [(7, 0, "")] * 3
            await plugin.client.stop(spec.id, timeout_s=5, signal="SIGTERM")
            with pytest.raises(PluginError, match="cannot signal a task that is stopped"):
                await plugin.client.signal(spec.id, "SIGHUP")

    asyncio.run(scenario())
