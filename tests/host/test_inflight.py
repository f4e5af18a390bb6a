"""Commands in flight: a newer plugin can wait for those of an older one."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from host.shell import SH, alive, eventually, run
from jail_driver.host import inflight
from jail_driver.host.command import CommandRunner, Completed, InFlight, wait_in_flight
from jail_driver.host.errors import BusyError, HostError


class TestLocks:
    """A newer plugin can wait for the commands of an older one."""

    def test_locked_while_it_runs_and_free_after(self, tmp_path: Path) -> None:
        """The lock lasts exactly as long as the command."""
        lock = tmp_path / "step.lock"

        async def scenario() -> tuple[InFlight, Completed, InFlight]:
            work = asyncio.create_task(CommandRunner().run([SH, "-c", "sleep 0.6"], lock=lock))
            await asyncio.sleep(0.2)
            with lock.open() as file, pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            waited = await wait_in_flight(lock, 5.0)
            done = await work
            return waited, done, await wait_in_flight(lock, 0.0)

        waited, done, after = asyncio.run(scenario())
        assert (waited, done.status, after) == (InFlight.FREE, 0, InFlight.FREE)

    def test_whether_it_has_begun(self, tmp_path: Path) -> None:
        """Known of a command that was announced; of any other one the worst is assumed."""
        lock = tmp_path / "step.lock"
        assert inflight.has_begun(lock)
        inflight.prepare(lock)
        assert not inflight.has_begun(lock)
        asyncio.run(CommandRunner().run([SH, "-c", "exit 0"], lock=lock))
        assert inflight.has_begun(lock)
        inflight.prepare(lock)
        with pytest.raises(HostError):
            asyncio.run(CommandRunner().run(["/nowhere/to/be/found"], lock=lock))
        assert inflight.has_begun(lock)
        inflight.prepare(tmp_path / "no such directory" / "step.lock")
        assert inflight.has_begun(tmp_path / "no such directory" / "step.lock")

    def test_never_begun_is_free(self, tmp_path: Path) -> None:
        """An intent whose command never began leaves no file: nothing to wait for."""
        assert asyncio.run(wait_in_flight(tmp_path / "none.lock", 0.0)) is InFlight.FREE

    def test_survives_its_plugin_and_is_killed_at_the_bound(self, tmp_path: Path) -> None:
        """After a kill -9 of the plugin the command runs on, is found, and is killed at the bound."""
        lock = tmp_path / "step.lock"
        plugin = _plugin_that_runs(f"echo $$ >{tmp_path}/pid; sleep 60; true", lock)
        assert eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
        pid = int((tmp_path / "pid").read_text())
        assert eventually(lambda: lock.read_text() != "")
        plugin.kill()
        plugin.wait()
        assert alive(pid)
        assert asyncio.run(wait_in_flight(lock, 0.2)) is InFlight.KILLED
        assert eventually(lambda: not alive(pid))

    def test_output_after_its_plugin_died_does_not_kill_it(self, tmp_path: Path) -> None:
        """No SIGPIPE: a command in flight may print although its plugin is dead."""
        lock, note = tmp_path / "step.lock", tmp_path / "note"
        plugin = _plugin_that_runs(f"echo $$ >{tmp_path}/pid; sleep 0.5; echo text && echo $? >{note}", lock)
        assert eventually((tmp_path / "pid").exists)
        plugin.kill()
        plugin.wait()
        assert asyncio.run(wait_in_flight(lock, 5.0)) is InFlight.FREE
        assert note.read_text() == "0\n"

    def test_a_daemon_left_behind_is_not_killed(self, tmp_path: Path) -> None:
        """The command has ended; what it left behind may be what it was for: outcome unknown."""
        lock = tmp_path / "step.lock"
        daemon = int(run("sleep 60 & echo $!", lock=lock).stdout)
        try:
            assert asyncio.run(wait_in_flight(lock, 0.1, grace_s=0.1)) is InFlight.HELD
            assert alive(daemon)
        finally:
            os.kill(daemon, signal.SIGKILL)

    def test_a_reused_pid_is_not_killed(self, tmp_path: Path) -> None:
        """A recorded pid with another start time is somebody else's."""
        lock = tmp_path / "step.lock"

        async def scenario() -> InFlight:
            work = asyncio.create_task(CommandRunner().run([SH, "-c", "sleep 1; exit 3"], lock=lock))
            await asyncio.to_thread(eventually, lambda: lock.exists() and lock.read_text())
            note = json.loads(lock.read_text())
            lock.write_text(json.dumps({**note, "started_ticks": note["started_ticks"] - 1000}))
            found = await wait_in_flight(lock, 0.1, grace_s=0.1)
            assert (await work).status == 3
            return found

        assert asyncio.run(scenario()) is InFlight.HELD

    def test_one_command_at_a_time_per_effect(self, tmp_path: Path) -> None:
        """A step is not begun while its own earlier command may still be at work."""
        lock = tmp_path / "step.lock"

        async def scenario() -> None:
            runner = CommandRunner()
            first = asyncio.create_task(runner.run([SH, "-c", "sleep 3"], lock=lock))
            await asyncio.to_thread(eventually, lambda: lock.exists() and lock.read_text())
            with pytest.raises(BusyError, match="still running"):
                await runner.run([SH, "-c", "true"], lock=lock)
            await first

        asyncio.run(scenario())

    def test_a_link_in_its_place_is_refused(self, tmp_path: Path) -> None:
        """A lock file is never followed elsewhere."""
        (tmp_path / "step.lock").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(HostError, match="lock"):
            run("true", lock=tmp_path / "step.lock")
        assert not (tmp_path / "elsewhere").exists()


def _plugin_that_runs(script: str, lock: Path) -> subprocess.Popen[bytes]:
    program = (
        "import asyncio, pathlib, sys\n"
        "from jail_driver.host.command import CommandRunner\n"
        "asyncio.run(CommandRunner().run(['/bin/sh', '-c', sys.argv[1]], lock=pathlib.Path(sys.argv[2])))\n"
    )
    return subprocess.Popen([sys.executable, "-c", program, script, str(lock)])
