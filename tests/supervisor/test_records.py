"""Records and identities: what is written today is read for ever, what is not understood is refused."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import struct
import threading
from pathlib import Path

import pytest

from jail_driver.supervisor import boot, files, kinfo, outcome, procid, records
from jail_driver.supervisor.errors import RecordError
from jail_driver.supervisor.procid import ProcessId

# As version 1 wrote them. Never changed: supervisors of that version may outlive many plugins.
IDENTITY_1 = (
    '{"version": 1, "pid": 10, "started_ticks": 1000, "boot_id": "sysctl:00ff", "main": {"pid": 11,'
    ' "started_ticks": 1002, "exit": {"exit_code": 0, "signal": 0, "core_dumped": false, "ended_at_ns": 5}}}'
)
EXIT_1 = (
    '{"version": 1, "exit_code": 0, "signal": 9, "core_dumped": false, "ended_at_ns": 7, "main_pid": 11,'
    ' "failure": null, "all_gone": true}'
)
FAILED_1 = (
    '{"version": 1, "exit_code": 0, "signal": 0, "core_dumped": false, "ended_at_ns": 7, "main_pid": null,'
    ' "failure": {"step": 0, "reason": "exit", "error": "Exec_start[0] failed with status 3", "exit_code": 3,'
    ' "signal": 0}, "all_gone": false}'
)


class TestVersions:
    """Records of each released version."""

    def test_version_1_is_read(self, tmp_path: Path) -> None:
        """Field by field."""
        (tmp_path / "identity.json").write_text(IDENTITY_1)
        (tmp_path / "exit.json").write_text(EXIT_1)
        assert records.read_identity(tmp_path) == records.Identity(
            ProcessId(10, 1000, "sysctl:00ff"),
            ProcessId(11, 1002, "sysctl:00ff"),
            records.MainEnd(0, 0, core_dumped=False, ended_at_ns=5),
        )
        assert records.read_exit(tmp_path) == records.ExitRecord(
            0, 9, core_dumped=False, ended_at_ns=7, main_pid=11, all_gone=True
        )
        assert records.read_failure(tmp_path) is None

    def test_a_failed_start_is_no_exit(self, tmp_path: Path) -> None:
        """Nobody can take it for a main that ended with 0."""
        (tmp_path / "exit.json").write_text(FAILED_1)
        assert records.read_exit(tmp_path) is None
        assert records.read_failure(tmp_path) == records.StartFailure(
            0, "exit", "Exec_start[0] failed with status 3", 3, 0
        )

    def test_what_is_written_now_is_what_is_golden(self) -> None:
        """A change of the format needs a new version and a new golden record."""
        ended = outcome.decode(9, 7)
        assert outcome.exit_record(ended, 11, failed=None, all_gone=True) == json.loads(EXIT_1)
        failed = outcome.failure(0, "exit", "Exec_start[0] failed with status 3", outcome.decode(3 << 8, 7))
        never = {"exit_code": 0, "signal": 0, "core_dumped": False, "ended_at_ns": 7}
        assert outcome.exit_record(never, None, failed=failed, all_gone=False) == json.loads(FAILED_1)

    @pytest.mark.parametrize(
        "text",
        [
            EXIT_1.replace('"version": 1', '"version": 2'),
            EXIT_1.replace('"version": 1', '"version": "1"'),
            EXIT_1.replace('"version": 1, ', ""),
            EXIT_1[:-5],
            "",
            "[]",
            '{"version": 1}',
        ],
    )
    def test_what_is_not_understood_is_refused(self, tmp_path: Path, text: str) -> None:
        """A newer or damaged record is never guessed at, and never taken for a missing one."""
        (tmp_path / "exit.json").write_text(text)
        with pytest.raises(RecordError):
            records.read_exit(tmp_path)

    def test_missing_is_missing(self, tmp_path: Path) -> None:
        """Directory or file."""
        assert records.read_exit(tmp_path) is None
        assert records.read_identity(tmp_path / "no") is None
        assert not records.alive(tmp_path / "no")


class TestLock:
    """A supervisor's life is its lock."""

    def test_held_is_alive_and_free_is_dead(self, tmp_path: Path) -> None:
        """Whatever else the directory says."""
        directory = files.Directory(str(tmp_path))
        lock = directory.lock()
        assert records.alive(tmp_path)
        os.close(lock)
        assert not records.alive(tmp_path)
        os.close(directory.fd)

    def test_two_who_ask_do_not_see_each_other(self, tmp_path: Path) -> None:
        """Asking takes a shared lock for a moment."""
        (tmp_path / "lock").touch()
        with (tmp_path / "lock").open() as other:
            fcntl.flock(other, fcntl.LOCK_SH)
            assert not records.alive(tmp_path)

    def test_it_waits_for_one_who_asks(self, tmp_path: Path) -> None:
        """A probe at the wrong moment must not make a start fail."""
        directory = files.Directory(str(tmp_path))
        (tmp_path / "lock").touch()
        asking = os.open(tmp_path / "lock", os.O_RDONLY)
        fcntl.flock(asking, fcntl.LOCK_SH)
        letting_go = threading.Timer(0.2, os.close, (asking,))
        letting_go.start()
        lock = directory.lock()
        assert letting_go.finished.is_set()
        letting_go.join()
        os.close(lock)
        os.close(directory.fd)

    def test_a_lock_file_that_lost_its_name_is_not_taken(self, tmp_path: Path) -> None:
        """An aborted supervisor removes it while somebody may wait for it."""
        directory = files.Directory(str(tmp_path))
        first = directory.lock()
        (tmp_path / "lock").unlink()
        second = directory.lock()
        assert os.path.samestat(os.fstat(second), (tmp_path / "lock").stat())
        os.close(first)
        assert records.alive(tmp_path)
        os.close(second)
        os.close(directory.fd)


class TestFiles:
    """Whole or not at all."""

    def test_a_failing_write_leaves_the_old_content(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An I/O error before the rename changes nothing that a reader sees."""
        directory = files.Directory(str(tmp_path))
        directory.write("a.json", {"value": 1})

        def fail(_fd: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            directory.write("a.json", {"value": 2})
        assert directory.read("a.json") == {"value": 1}
        os.close(directory.fd)

    def test_the_order_is_write_sync_rename_sync(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Any other order loses the record, or half of it, in a power cut."""
        directory = files.Directory(str(tmp_path))
        seen: list[str] = []
        sync, rename = os.fsync, os.rename

        def spy_sync(fd: int) -> None:
            seen.append("sync directory" if fd == directory.fd else f"sync {os.fstat(fd).st_size}")
            sync(fd)

        def spy_rename(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
            seen.append("rename")
            rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

        monkeypatch.setattr(os, "fsync", spy_sync)
        monkeypatch.setattr(os, "rename", spy_rename)
        directory.write("a.json", {"v": 1})
        assert seen == ["sync 9", "rename", "sync directory"]
        os.close(directory.fd)


class TestProcessId:
    """pid, start, boot."""

    @pytest.mark.parametrize(
        ("other", "same"),
        [
            (ProcessId(7, 1000, "a"), True),
            (ProcessId(7, 1200, "a"), True),
            (ProcessId(7, 800, "a"), True),
            (ProcessId(7, 1201, "a"), False),
            (ProcessId(7, 799, "a"), False),
            (ProcessId(8, 1000, "a"), False),
            (ProcessId(7, 1000, "b"), False),
        ],
    )
    def test_two_seconds_are_the_slack(self, other: ProcessId, same: bool) -> None:  # noqa: FBT001  # a column
        """Of ps(1), which knows whole seconds; pid and boot have none."""
        assert procid.same_process(ProcessId(7, 1000, "a"), other) is same
        assert procid.same_process(other, ProcessId(7, 1000, "a")) is same

    def test_a_process_found_is_a_process_born(self) -> None:
        """The clock that stamps newborns is the one that the kernel counts in."""
        ticks = procid.started_ticks(os.getpid())
        assert ticks is not None
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        born = procid.started_ticks(pid)
        now = procid.uptime_ticks()
        os.waitpid(pid, 0)
        assert born is not None
        assert ticks <= born
        assert abs(now - born) < procid.SLACK_TICKS
        assert procid.process_id(pid, "b") is None

    def test_a_command_with_blanks_and_parentheses_is_read(self) -> None:
        """Field 22 is counted from the last parenthesis."""
        text = "7 (a) b (c d)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 1\n"
        assert procid.parse_stat(text) == 4242

    def test_the_unit_does_not_hang_on_sysconf(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """FreeBSD tells its Linux programs 127 and counts in hundredths all the same."""
        monkeypatch.setattr(os, "sysconf", lambda _name: 127)
        fresh = importlib.reload(procid)
        text = "7 (a) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 1\n"
        assert fresh.parse_stat(text) == 4242

    @pytest.mark.parametrize("text", ["", "7 (a) S 1", "7 (a) S 1 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 x 1"])
    def test_nonsense_is_no_start_time(self, text: str) -> None:
        """A short or foreign file."""
        with pytest.raises(ValueError, match=r"field 22|invalid literal"):
            procid.parse_stat(text)

    def test_freebsd_counts_from_boot_whatever_the_clock_says(self) -> None:
        """Recorded on FreeBSD: a clock stepped by an hour moves start and boot time alike."""
        kinfo_proc = bytearray(1088)
        struct.pack_into("=i", kinfo_proc, 0, 1088)
        struct.pack_into("=i", kinfo_proc, 72, 242)
        struct.pack_into("=qq", kinfo_proc, 336, 1795450656, 250_000)
        boottime = struct.pack("=qq", 1795450635, 317_760)
        assert kinfo.parse(bytes(kinfo_proc), boottime, 242) == 2093
        struct.pack_into("=qq", kinfo_proc, 336, 1795450656 + 3600, 250_000)
        assert kinfo.parse(bytes(kinfo_proc), struct.pack("=qq", 1795450635 + 3600, 317_760), 242) == 2093
        assert kinfo.parse(bytes(kinfo_proc), boottime, 243) is None
        assert kinfo.parse(bytes(kinfo_proc[:300]), boottime, 242) is None


def script(folder: Path, name: str, text: str) -> str:
    """Makes a command for a test."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


class TestBootId:
    """One name for one boot."""

    def test_the_sysctl_comes_first(self, tmp_path: Path) -> None:
        """Its bytes are opaque: NUL, newline and all."""
        sysctl = script(tmp_path, "sysctl", '[ "$*" = "-b kern.boot_id" ] && printf "\\000\\n\\377x"')
        assert boot.boot_id(sysctl, "/no/kenv") == "sysctl:000aff78"

    def test_then_a_variable_of_our_own(self, tmp_path: Path) -> None:
        """Set once, then found: the kernel forgets it at the reboot."""
        sysctl = script(tmp_path, "sysctl", "echo \"sysctl: unknown oid 'kern.boot_id'\" >&2; exit 1")
        store = tmp_path / "store"
        kenv = script(
            tmp_path,
            "kenv",
            f'case "$2" in *=*) echo "${{2#*=}}" >{store};; *) [ -e {store} ] && cat {store};; esac',
        )
        first = boot.boot_id(sysctl, kenv)
        assert first.startswith("kenv:")
        assert boot.boot_id(sysctl, kenv) == first
        store.unlink()
        assert boot.boot_id(sysctl, kenv) != first

    def test_then_the_kernels_file(self, tmp_path: Path) -> None:
        """On a plain Linux."""
        file = tmp_path / "boot_id"
        file.write_text("f00d\n")
        assert boot.boot_id(linux_file=file) == "proc:f00d"

    def test_a_file_that_changes_at_each_read_is_none(self, tmp_path: Path) -> None:
        """So it may be under FreeBSD's Linux ABI."""
        with pytest.raises(boot.BootIdError, match="changes at each read"):
            boot.boot_id(linux_file=Path("/proc/sys/kernel/random/uuid"))
        with pytest.raises(boot.BootIdError, match="no boot id"):
            boot.boot_id(linux_file=tmp_path / "none")

    def test_a_command_that_does_not_run_is_an_error(self, tmp_path: Path) -> None:
        """Two names for one boot would look like a reboot, and every task would be given up."""
        with pytest.raises(FileNotFoundError):
            boot.boot_id(str(tmp_path / "sysctl"))
