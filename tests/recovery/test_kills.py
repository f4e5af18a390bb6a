"""kill -9 of the plugin while tasks run: they go on, and the next plugin tells the truth about them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.host.exits import Exits
from jail_state.core.lifecycle import State
from nomad.system import pids

pytestmark = rig.needs_root
KERNEL_TELLS = Exits().can_tell
"""Linux 6.15 and later, or FreeBSD's own Python."""


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


def test_a_running_task_outlives_the_plugin(host: rig.Host) -> None:
    """The same process, the same jail; its exit code comes through the next plugin."""

    async def scenario() -> None:
        before = host.snapshot()
        loop = f"{rig.UNTIL_TOLD}; exit 7"
        spec = host.spec({"Exec_start": f"echo once >> /alloc/runs; {loop}"})
        first = await rig.launch(host)
        started = await first.start(spec)
        task = host.task(spec.id)
        await first.kill()
        async with rig.plugin(host) as second:
            await second.client.recover(started.handle)
            waiting = asyncio.create_task(second.client.wait(spec.id))
            seen = host.task(spec.id)
            assert (seen.state, seen.jid, seen.main) == (State.RUNNING, task.jid, task.main)
            Path(spec.alloc_dir, "alloc/end").touch()
            result = await asyncio.wait_for(waiting, 20)
            assert (result.exit_code, result.signal, result.error) == (7, 0, "")
            assert Path(spec.alloc_dir, "alloc/runs").read_text() == "once\n"
            await second.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


@pytest.mark.parametrize(("command", "code", "number"), [("exit 7", 7, 0), ("kill -9 $$", 137, 9)])
def test_a_task_that_ended_while_no_plugin_lived(
    host: rig.Host, command: str, code: int, number: int
) -> None:
    """It is reported with its own status, and not run again."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": f"echo once >> /alloc/runs; {rig.UNTIL_TOLD}; {command}"})
        first = await rig.launch(host)
        started = await first.start(spec)
        main = host.task(spec.id).main
        assert main is not None
        await first.kill()
        Path(spec.alloc_dir, "alloc/end").touch()
        await rig.until("main ended", lambda: main.pid not in pids())
        async with rig.plugin(host) as second:
            await second.client.recover(started.handle)
            result = await asyncio.wait_for(second.client.wait(spec.id), 20)
            assert (result.exit_code, result.signal, result.error) == (code, number, "")
            assert Path(spec.alloc_dir, "alloc/runs").read_text() == "once\n"
            await second.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_destroyed_task_that_nomad_asks_for_again(host: rig.Host) -> None:
    """The agent died before it had noted the task's end: it hears the same end once more, and runs nothing again."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": "echo done; exit 4"})
        first = await rig.launch(host)
        started = await first.start(spec)
        assert (await asyncio.wait_for(first.client.wait(spec.id), 20)).exit_code == 4
        await first.client.destroy(spec.id)
        await first.kill()
        async with rig.plugin(host) as second:
            for _ in range(2):
                with pytest.raises(PluginError, match="no task"):
                    await second.client.wait(spec.id)
                await second.client.recover(started.handle)
                result = await asyncio.wait_for(second.client.wait(spec.id), 20)
                assert (result.exit_code, result.signal, result.error) == (4, 0, "")
                assert (await second.client.inspect(spec.id)).result.exit_code == 4
                await second.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_the_kernel_tells_what_a_killed_supervisor_knew(host: rig.Host) -> None:
    """Main is killed in its jail, for want of a supervisor: that is its true end; nothing stays behind."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": "sleep 300"})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            host.kill_supervisor(spec.id)
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 20)
            rig.assert_told(result, KERNEL_TELLS, (128 + 9, 9))
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_main_ends_by_itself_after_its_supervisor_was_killed(host: rig.Host) -> None:
    """Its own status counts, where the kernel tells it; it is never taken for 0."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec(
            {"Exec_start": f"touch /alloc/up; {rig.UNTIL_TOLD}; exit 7", "Exec_prestop": "sleep 2"}
        )
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            await rig.until("main is inside", Path(spec.alloc_dir, "alloc/up").exists)
            host.kill_supervisor(spec.id)
            Path(spec.alloc_dir, "alloc/end").touch()  # the teardown's first hook gives it the time
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 20)
            rig.assert_told(result, KERNEL_TELLS, (7, 0))
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_jail_that_somebody_removed_is_told(host: rig.Host) -> None:
    """Main's status is known all the same: the supervisor is its parent."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": "touch /alloc/up; exec sleep 300"})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            await rig.until("main is inside", Path(spec.alloc_dir, "alloc/up").exists)
            host.tool("jail", "-R", str(host.task(spec.id).jid))
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 20)
            assert (result.exit_code, result.signal) == (128 + 15, 15)
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_start_that_was_interrupted_is_resumed_by_its_repetition(host: rig.Host) -> None:
    """Nomad calls StartTask once more with the same id: one jail, one main."""

    async def scenario() -> None:
        before = host.snapshot()
        host.plan_faults({"point": "after-intent", "step": "jail", "do": "kill"})
        spec = host.spec({"Exec_start": "echo once >> /alloc/runs; exit 3"})
        first = await rig.launch(host)
        with pytest.raises(PluginError):
            await first.start(spec)
        await first.gone()
        async with rig.plugin(host) as second:
            await second.start(spec)
            result = await asyncio.wait_for(second.client.wait(spec.id), 20)
            assert result.exit_code == 3
            assert Path(spec.alloc_dir, "alloc/runs").read_text() == "once\n"
            await second.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_start_that_nobody_repeats_is_unmade(host: rig.Host) -> None:
    """After the wait the half-made start is torn down by itself."""

    async def scenario() -> None:
        before = host.snapshot()
        host.plan_faults({"point": "after-effect", "step": "jail", "do": "kill"})
        spec = host.spec({"Exec_start": "sleep 300"})
        first = await rig.launch(host)
        with pytest.raises(PluginError):
            await first.start(spec)
        await first.gone()
        async with rig.plugin(host, recovery_wait="0.2s"):
            await rig.until("stopped", lambda: host.task(spec.id).state is State.STOPPED)
        host.wait_clean(before)
        assert "did not repeat" in host.task(spec.id).reason

    asyncio.run(scenario())


def test_a_second_plugin_is_refused_while_the_first_serves(host: rig.Host) -> None:
    """Two plugins never act on one state directory."""

    async def scenario() -> None:
        async with rig.plugin(host) as first, rig.plugin(host) as second:
            async for fingerprint in second.client.fingerprints():
                assert "serves a live Nomad agent" in fingerprint.description
                break
            async for fingerprint in first.client.fingerprints():
                assert fingerprint.health.name == "HEALTHY", fingerprint.description
                break

    asyncio.run(scenario())


def test_mains_own_end_outlives_a_supervisor_killed_while_it_waited_for_the_rest(host: rig.Host) -> None:
    """Main ended with 0 and left a daemon; then the supervisor is killed: 0 is still the truth."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": "sleep 300 & exit 0", "Mount_devfs": True})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            task = host.task(spec.id)
            assert task.supervisor is not None
            assert task.main is not None
            await rig.until("main is reaped", lambda: task.main.pid not in pids())
            records = host.state / "t" / Path(task.plan.directory).name / "sup/identity.json"
            await rig.until("noted", lambda: '"exit": {' in records.read_text())
            os.kill(task.supervisor.pid, signal.SIGKILL)
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 20)
            assert (result.exit_code, result.signal, result.error) == (0, 0, "")
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())
