"""Commands of the host: bounded, killable, outliving us, and never racing against their own end."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jail_driver.host.command import BASE_ENV, CommandRunner, Completed, InFlight, wait_in_flight
from jail_driver.host.errors import BusyError, HostError, MissingError

SH = "/bin/sh"


def run(script: str, **options: Any) -> Completed:
    """Runs a shell script through the runner."""
    return asyncio.run(CommandRunner().run([SH, "-c", script], **options))


def alive(pid: int) -> bool:
    """Tells whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(condition: Callable[[], object], timeout_s: float = 5.0) -> bool:
    """Waits until ``condition()`` holds."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def may_become_others() -> bool:
    """Tells whether we are root, and not that of a user namespace with one user."""
    mapped = Path("/proc/self/uid_map")
    sizes = [int(line.split()[2]) for line in mapped.read_text().splitlines()] if mapped.exists() else [2]
    return os.geteuid() == 0 and sum(sizes) > 1


class TestOutcome:
    """What a caller learns of a finished command."""

    def test_status_and_both_streams(self) -> None:
        """A status other than 0 is an outcome, and the streams are kept apart."""
        done = run("echo out; echo err >&2; exit 7")
        assert (done.status, done.signal, done.stdout, done.stderr) == (7, None, b"out\n", b"err\n")
        assert not done.ok
        assert done.words == "err (failed with status 7)"

    def test_death_by_signal(self) -> None:
        """A signal is told apart from a status."""
        done = run("kill -9 $$")
        assert (done.status, done.signal) == (None, signal.SIGKILL)
        assert done.words == "was killed by SIGKILL"

    def test_check_raises_with_the_commands_words(self) -> None:
        """An unchecked failure cannot pass for success: check() names what failed and why."""
        with pytest.raises(HostError, match="mount /a: no room; sorry \\(failed with status 1\\)"):
            run("printf 'no room\\nsorry\\n' >&2; exit 1").check("mount /a")

    def test_the_environment_is_built_not_inherited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The agent's environment holds tokens: none of it reaches a command."""
        monkeypatch.setenv("NOMAD_TOKEN", "secret")
        names = {line.split("=")[0] for line in run("env").stdout.decode().splitlines()}
        assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == set(BASE_ENV)

    def test_given_environment_is_exact(self) -> None:
        """A given environment replaces the base one."""
        assert run("echo $PATH$LC_ALL$A", env={"A": "1", "PATH": "/bin"}).stdout == b"/bin1\n"

    def test_input_and_directory(self, tmp_path: Path) -> None:
        """Standard input is what was given, else nothing; the directory is where asked."""
        assert run("cat; pwd", stdin=b"x" * 100_000, cwd=tmp_path).stdout.endswith(
            b"x" + str(tmp_path).encode() + b"\n"
        )
        assert run("cat").stdout == b""

    def test_output_beyond_the_limit_keeps_the_end(self) -> None:
        """A talkative command costs no memory and its last words are kept."""
        done = run("yes | head -c 3000000; echo end", output_limit_bytes=1000)
        assert len(done.stdout) == 1000
        assert done.stdout.endswith(b"y\nend\n")

    def test_a_running_flood_is_trimmed(self) -> None:
        """Output is bounded while the command still runs, not only when it is read."""
        done = run(
            "yes | head -c 900000; sleep 1.2; stat -L -c %s /dev/fd/1 >&2; echo end", output_limit_bytes=1000
        )
        assert int(done.stderr) <= 1000
        assert done.stdout.endswith(b"y\nend\n")


class TestNotStarted:
    """What cannot be started is an error of its own kind, at once."""

    def test_missing_program(self) -> None:
        """A missing program is named."""
        with pytest.raises(MissingError, match="/no/such: No such file or directory"):
            asyncio.run(CommandRunner().run(["/no/such"]))

    def test_missing_directory(self) -> None:
        """A missing working directory is not mistaken for a missing program."""
        with pytest.raises(MissingError, match="/bin/sh in /no/dir: No such file or directory"):
            run("true", cwd="/no/dir")

    def test_not_executable(self, tmp_path: Path) -> None:
        """A file that cannot be executed is no missing file."""
        (tmp_path / "data").write_text("x")
        with pytest.raises(HostError, match="Permission denied") as caught:
            asyncio.run(CommandRunner().run([str(tmp_path / "data")]))
        assert not isinstance(caught.value, MissingError)

    def test_nul_in_an_argument(self) -> None:
        """A value that no command can take is refused, never cut."""
        with pytest.raises(HostError, match="null byte"):
            asyncio.run(CommandRunner().run([SH, "-c", "a\0b"]))

    def test_relative_program(self) -> None:
        """Nothing is ever looked up in PATH."""
        with pytest.raises(ValueError, match="not an absolute path"):
            asyncio.run(CommandRunner().run(["sh", "-c", "true"]))

    def test_unknown_user(self) -> None:
        """A user that the host does not know is named."""
        with pytest.raises(MissingError, match="no such user"):
            run("true", user="no-such-user-here")


class TestIdentity:
    """Commands of another user."""

    @pytest.mark.skipif(
        not may_become_others(), reason="needs root, and more than one user id, to become nobody"
    )
    def test_user_with_its_groups(self) -> None:
        """The user's own uid, gid and groups, none of ours."""
        entry = pwd.getpwnam("nobody")
        done = run("id -u; id -g; id -G", user="nobody")
        groups = sorted(map(str, {*os.getgrouplist("nobody", entry.pw_gid)}))
        uid, gid, listed = done.stdout.decode().splitlines()
        assert (uid, gid, sorted(listed.split())) == (str(entry.pw_uid), str(entry.pw_gid), groups)

    def test_ourselves(self) -> None:
        """Naming the user that we are needs no privilege."""
        assert run("id -u", user=pwd.getpwuid(os.geteuid()).pw_name).stdout == f"{os.geteuid()}\n".encode()


class TestTime:
    """Time-outs, background processes, cancelled callers."""

    def test_timeout_kills_the_whole_group(self) -> None:
        """At the time-out the command dies with the children that share its group."""
        started = time.monotonic()
        done = run("sleep 60 & echo $! $$; wait", timeout_s=0.3)
        assert time.monotonic() - started < 3
        assert (done.timed_out, done.ok, done.signal) == (True, False, signal.SIGKILL)
        assert done.words.endswith("(timed out)")
        pids = [int(pid) for pid in done.stdout.split()]
        assert eventually(lambda: not any(map(alive, pids)))

    def test_a_daemon_left_behind_is_not_waited_for(self) -> None:
        """A hook that starts a daemon ends when the hook ends, though the daemon keeps its streams."""
        started = time.monotonic()
        done = run("sleep 30 & echo $!")
        try:
            assert time.monotonic() - started < 3
            assert done.ok
            assert alive(int(done.stdout))
        finally:
            os.kill(int(done.stdout), signal.SIGKILL)

    def test_a_daemon_left_behind_cannot_fill_the_memory(self, tmp_path: Path) -> None:
        """Once nobody reads them, streams refuse to grow, and the writer is not killed for it."""
        note = tmp_path / "note"
        done = run(f"(sleep 0.3; echo more; echo $? >{note}) & echo $!")
        assert done.stdout.split()[0].isdigit()
        assert eventually(lambda: note.exists() and note.read_text().strip())
        assert note.read_text().strip() != "0"

    @pytest.mark.parametrize("kill", [False, True])
    def test_cancelled_caller(self, tmp_path: Path, *, kill: bool) -> None:
        """A command that changes the host goes on without its caller; a listing does not."""
        note = tmp_path / "note"

        async def scenario() -> None:
            script = f"sleep 0.5; echo still-writing && echo done >{note}"
            work = asyncio.create_task(CommandRunner().run([SH, "-c", script], kill_on_cancel=kill))
            await asyncio.sleep(0.2)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

        asyncio.run(scenario())
        time.sleep(0.8)
        assert note.exists() is not kill

    def test_many_at_once(self) -> None:
        """A slow command delays no other."""

        async def scenario() -> tuple[float, list[Completed]]:
            slow = asyncio.create_task(CommandRunner().run([SH, "-c", "sleep 2"], kill_on_cancel=True))
            started = time.monotonic()
            done = await asyncio.gather(
                *(CommandRunner().run([SH, "-c", f"exit {number}"]) for number in range(40))
            )
            took_s = time.monotonic() - started
            slow.cancel()
            return took_s, done

        took_s, done = asyncio.run(scenario())
        assert [completed.status for completed in done] == list(range(40))
        assert took_s < 1.9


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
