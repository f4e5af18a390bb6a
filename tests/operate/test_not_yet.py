"""An agent that comes back before the driver can serve: its tasks are neither lost nor started twice."""

from __future__ import annotations

import asyncio
import os

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import Handle, HandleState
from operate.operating import SLEEP

pytestmark = rig.needs_root


async def serves(plugin: rig.Plugin, task_id: str) -> bool:
    """Whether the plugin can tell of a task."""
    try:
        return (await plugin.client.inspect(task_id)).state is HandleState.RUNNING
    except PluginError:
        return False


def test_a_task_is_taken_back_before_it_can_be_looked_for(host: rig.Host) -> None:
    """RecoverTask says yes, WaitTask waits, and tells how the task ended once the tools are there again."""
    before = host.snapshot()

    async def scenario() -> None:
        spec = host.spec(SLEEP)
        first = await rig.launch(host)
        started = await first.start(spec)
        main = int((await first.client.inspect(spec.id)).attributes["pid"])
        await first.kill()
        tools = host.base / "later"
        async with rig.plugin(host, jail_tools=str(tools)) as plugin:
            await plugin.client.recover(started.handle)
            waiting = asyncio.ensure_future(plugin.client.wait(spec.id))
            with pytest.raises(PluginError, match="is missing or not executable"):
                await plugin.client.inspect(spec.id)
            await asyncio.sleep(1)
            assert not waiting.done()
            os.kill(main, 0)
            tools.symlink_to(host.tools)
            async with asyncio.timeout(20):
                while not await serves(plugin, spec.id):  # noqa: ASYNC110  # of another process
                    await asyncio.sleep(0.2)
            assert not waiting.done()
            await plugin.client.stop(spec.id, timeout_s=1, signal="SIGKILL")
            assert (await asyncio.wait_for(waiting, 30)).signal == 9
            await plugin.client.destroy(spec.id)
        tools.unlink()

    asyncio.run(scenario())
    host.wait_clean(before)


def test_a_task_that_turns_out_to_be_unknown(host: rig.Host) -> None:
    """Then WaitTask says so; a handle that nobody could read is refused at once."""

    async def scenario() -> None:
        tools = host.base / "later"
        async with rig.plugin(host, jail_tools=str(tools)) as plugin:
            handle = Handle(1, HandleState.RUNNING, b'{"version": 1, "task_id": "a/web/1"}', None)
            await plugin.client.recover(handle)
            with pytest.raises(PluginError, match="cannot be read"):
                await plugin.client.recover(Handle(1, HandleState.RUNNING, b"[]", None))
            tools.symlink_to(host.tools)
            with pytest.raises(PluginError, match="no task 'a/web/1'"):
                await asyncio.wait_for(plugin.client.wait("a/web/1"), 20)
        tools.unlink()

    asyncio.run(scenario())
