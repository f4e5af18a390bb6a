"""Commands of the host: bounded, killable, outliving us, and never racing against their own end."""

from __future__ import annotations

import asyncio
import errno
import os
import pwd
import signal
import time
from pathlib import Path

import pytest

from host.shell import SH, alive, eventually, may_become_others, run
from jail_driver.host.command import BASE_ENV, CommandRunner, Completed
from jail_driver.host.errors import HostError, MissingError


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


class TestLinuxAbi:
    """What FreeBSD's Linux ABI refuses."""

    def test_output_is_read_without_pread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """pread(2) of what is in no file system is EINVAL there, after it was read (linux_file.c)."""

        def refused(*_: object) -> bytes:
            raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr(os, "pread", refused)
        done = run("echo out; echo err >&2")
        assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


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
        with pytest.raises(HostError, match="not an absolute path"):
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
