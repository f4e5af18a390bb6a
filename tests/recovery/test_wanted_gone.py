"""Tasks that somebody, or nobody, wants any more: force, early stops, lost histories, lost allocations."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_state.core.lifecycle import State
from jail_state.store.readonly import ReadOnlyStore
from nomad.system import rooted_below

pytestmark = [rig.needs_root, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


@pytest.mark.parametrize("hook", ["Exec_prestop", "Exec_stop"])
def test_force_ends_a_hook_that_hangs(host: rig.Host, hook: str) -> None:
    """DestroyTask with force does not wait for a stop that is waiting for a hook."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": "sleep 300", hook: "sleep 300"})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            stopping = asyncio.create_task(plugin.client.stop(spec.id, timeout_s=300.0))
            name = hook.lower().replace("_", ".")
            await rig.until("the hook runs", lambda: f"{name}[0]" in host.task(spec.id).records)
            began = time.monotonic()
            await asyncio.wait_for(plugin.client.destroy(spec.id, force=True), 20)
            assert time.monotonic() - began < 10
            await asyncio.wait_for(stopping, 5)
        host.wait_clean(before)
        assert "interrupted" in host.task(spec.id).records[f"{name}[0]"].error

    asyncio.run(scenario())


def test_force_ends_the_grace(host: rig.Host) -> None:
    """A main that ignores its signal is not waited for."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": "trap '' TERM; touch /alloc/up; while :; do sleep 0.1; done"})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            await rig.until("main is up", Path(spec.alloc_dir, "alloc/up").exists)
            stopping = asyncio.create_task(plugin.client.stop(spec.id, timeout_s=300.0))
            await rig.until("the grace", lambda: "main-stop" in host.task(spec.id).records)
            await asyncio.wait_for(plugin.client.destroy(spec.id, force=True), 20)
            await asyncio.wait_for(stopping, 5)
        host.wait_clean(before)

    asyncio.run(scenario())


@pytest.mark.parametrize("killed", [False, True], ids=["same plugin", "next plugin"])
def test_a_stop_ends_the_commands_before_main(host: rig.Host, killed: bool) -> None:  # noqa: FBT001  # a parameter
    """They may have no time-out of their own; main is then never run."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": ["touch /alloc/setup; sleep 300", "touch /alloc/main"]})
        plugin = await rig.launch(host)
        starting = asyncio.create_task(plugin.client.start(spec))
        await rig.until("the setup runs", Path(spec.alloc_dir, "alloc/setup").exists)
        if killed:
            await plugin.kill()
            plugin = await rig.launch(host)
        await asyncio.wait_for(plugin.client.stop(spec.id, timeout_s=5.0), 30)
        [refused] = await asyncio.gather(starting, return_exceptions=True)
        assert isinstance(refused, PluginError | asyncio.CancelledError)
        assert host.task(spec.id).state is State.STOPPED
        await plugin.client.destroy(spec.id)
        await plugin.client.shutdown()
        await plugin.process.end()
        host.wait_clean(before)
        assert not Path(spec.alloc_dir, "alloc/main").exists()

    asyncio.run(scenario())


def test_what_no_history_knows_is_undone_and_the_rest_is_not_touched(host: rig.Host) -> None:
    """The store is lost: the jail under our directory goes, one of nearly the same name stays."""

    async def scenario() -> None:
        before = host.snapshot()
        rctl = {"Openfiles": {"Action": "deny", "Amount": "500"}}
        spec = host.spec({"Exec_start": "sleep 300", "Mount_devfs": True, "Rctl": rctl})
        first = await rig.launch(host)
        await first.start(spec)
        name = host.task(spec.id).jail_name
        namesake = f"{name[:-1]}x"
        host.tool("jail", "-c", f"name={namesake}", f"path={host.root}", "persist")
        await first.kill()
        for path in host.state.glob("events.db*"):
            path.unlink()
        async with rig.plugin(host):
            await rig.until("the orphan is gone", lambda: name not in host.tool("jls", "-d", "name"))
            await rig.until("its files are gone", lambda: not list((host.state / "t").iterdir()))
            assert namesake in host.tool("jls", "name")
        host.tool("jail", "-R", namesake)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_task_that_nobody_recovers_goes_on_until_its_allocation_is_gone(host: rig.Host) -> None:
    """It is told first, never killed for that alone; its history is closed after ``retain``."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": "sleep 300"})
        first = await rig.launch(host)
        await first.start(spec)
        await first.kill()
        async with rig.plugin(host, recovery_wait="1s", retain="1s"):
            told = "Nomad has not asked"
            await rig.until("it is told", lambda: told in str(host.history(spec.id)))
            assert host.task(spec.id).state is State.RUNNING
            assert rooted_below(host.base)
            Path(spec.alloc_dir).rename(f"{spec.alloc_dir}.gone")
            await rig.until("undone", lambda: host.task(spec.id).state is State.STOPPED, 60)
            closed = ReadOnlyStore(host.state / "events.db").closed
            await rig.until("closed", lambda: spec.id in closed())
        assert "allocation's directory is gone" in host.task(spec.id).reason
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_teardown_that_never_succeeds_is_told_and_goes_on(host: rig.Host) -> None:
    """The deadline passes, WaitTask answers with the leftovers named; they go as soon as they can."""

    def stand_in(view: Path) -> subprocess.Popen[bytes]:
        """Somebody's process stands in the view: its root cannot be unmounted."""
        return subprocess.Popen(["sleep", "300"], cwd=view)

    def state_dump(host: rig.Host) -> str:
        argv = [*rig.PLUGIN, "state-dump", "--state-dir", str(host.state)]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": f"{rig.UNTIL_TOLD}; exit 5"})
        async with rig.plugin(host, teardown_deadline="1s") as plugin:
            holder = None
            try:
                await plugin.start(spec)
                holder = stand_in(Path(host.task(spec.id).plan.directory, "root"))
                Path(spec.alloc_dir, "alloc/end").touch()
                result = await asyncio.wait_for(plugin.client.wait(spec.id), 30)
                assert result.exit_code == 5
                status = await plugin.client.inspect(spec.id)
                assert "unmount mount /" in status.attributes["leftovers"]
                assert "left over: unmount mount /" in await asyncio.to_thread(state_dump, host)
                await plugin.client.destroy(spec.id)
            finally:
                if holder is not None:
                    holder.send_signal(signal.SIGKILL)
                    holder.wait()
            await rig.until("cleared", lambda: not host.task(spec.id).leftovers)
        host.wait_clean(before)

    asyncio.run(scenario())
