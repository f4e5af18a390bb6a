"""How processes that are not our children ended, by the kernel: a real one, and FreeBSD's as its sources have it."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from host.shell import eventually
from jail_driver.host import exits
from jail_driver.host.exits import Exits
from jail_driver.supervisor import procid
from jail_driver.supervisor.procid import ProcessId

needs_kernel = pytest.mark.skipif(
    not Exits().can_tell, reason="this kernel tells nobody but parents: Linux 6.15"
)


@needs_kernel
@pytest.mark.parametrize(
    ("command", "status"),
    [("sleep 0.4; exit 7", 7 << 8), ("sleep 0.4; kill -9 $$", 9), ("sleep 0.4", 0)],
)
def test_an_end_is_told(command: str, status: int) -> None:
    """As its parent was told; nothing before it."""
    witness = Exits()
    parent = subprocess.Popen(
        ["/bin/sh", "-c", f"/bin/sh -c '{command}' & echo $!; wait"], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    found = procid.process_id(int(parent.stdout.readline()), "boot")
    assert found is not None
    witness.watch(found)
    assert witness.watches(found.pid)
    assert witness.status(found.pid) is None
    parent.communicate()
    eventually(lambda: witness.status(found.pid) is not None)
    assert witness.status(found.pid) == status
    witness.forget(found.pid)
    assert witness.status(found.pid) is None


@needs_kernel
def test_another_process_of_this_number_is_not_watched() -> None:
    """The number alone says nothing."""
    witness = Exits()
    own = procid.process_id(os.getpid(), "boot")
    assert own is not None
    witness.watch(own._replace(started_ticks=own.started_ticks - 1000))
    assert not witness.watches(os.getpid())
    witness.watch(own)
    assert witness.watches(os.getpid())
    witness.forget(os.getpid())


def test_one_that_is_gone_is_not_watched() -> None:
    """Nor is that an error."""
    witness = Exits()
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    witness.watch(ProcessId(child.pid, 1, "boot"))
    assert not witness.watches(child.pid)
    assert witness.status(child.pid) is None


@dataclass
class Kevent:
    """struct kevent."""

    ident: int
    filter: int
    flags: int
    fflags: int = 0
    data: int = 0


class Kernel:
    """FreeBSD's select module: processes end by ``end``; NOTE_EXIT's data is the status (kern_event.c, filt_proc)."""

    KQ_EV_ADD, KQ_EV_DELETE, KQ_EV_ONESHOT = 1, 2, 16
    KQ_FILTER_PROC, KQ_NOTE_EXIT = -5, 0x80000000
    kevent = Kevent

    def __init__(self) -> None:
        self.living: set[int] = set()
        self.watched: set[int] = set()
        self.told: list[Kevent] = []

    def kqueue(self) -> SimpleNamespace:
        """Make the one queue."""
        return SimpleNamespace(control=self.control)

    def control(self, changes: Sequence[Kevent] | None, most: int, _timeout_s: float) -> list[Kevent]:
        """Take changes, hand out what happened."""
        for change in changes or ():
            if change.flags & self.KQ_EV_DELETE:
                if change.ident not in self.watched:
                    raise FileNotFoundError(2, "No such file or directory")
                self.watched.remove(change.ident)
                continue
            assert (change.filter, change.fflags) == (self.KQ_FILTER_PROC, self.KQ_NOTE_EXIT)
            if change.ident not in self.living:
                raise ProcessLookupError(3, "No such process")
            self.watched.add(change.ident)
        events, self.told = self.told[:most], self.told[most:]
        return events

    def end(self, pid: int, status: int) -> None:
        """End a process."""
        self.living.remove(pid)
        if pid in self.watched:
            self.watched.remove(pid)
            self.told.append(Kevent(pid, self.KQ_FILTER_PROC, 0, self.KQ_NOTE_EXIT, status))


def test_freebsd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends are kept by process until somebody asks; who was not watched is not known."""
    kernel = Kernel()
    kernel.living = {10, 11, 12}
    for name in ("kqueue", "kevent", *(name for name in vars(Kernel) if name.startswith("KQ_"))):
        monkeypatch.setattr(select, name, getattr(kernel, name), raising=False)
    monkeypatch.setattr(exits.procid, "process_id", lambda pid, boot: ProcessId(pid, 1, boot))
    witness = Exits()
    for pid in (10, 11, 13):
        witness.watch(ProcessId(pid, 1, "boot"))
    assert [witness.watches(pid) for pid in (10, 11, 12, 13)] == [True, True, False, False]
    kernel.end(11, 7 << 8)
    kernel.end(12, 9)
    assert [witness.status(pid) for pid in (10, 11, 12)] == [None, 7 << 8, None]
    kernel.end(10, 9)
    assert [witness.status(pid) for pid in (10, 11)] == [9, 7 << 8]
    witness.forget(11)
    assert witness.status(11) is None
    assert kernel.watched == set()


PWAIT = """#!/bin/sh
while [ ! -e {folder}/$2 ]; do sleep 0.02; done
cat {folder}/$2
"""
"""Says what bin/pwait/pwait.c says with -v, once a test lets it."""


def test_a_linux_python_on_freebsd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It asks pwait(1), only about those that nobody else can tell of; its numbers are FreeBSD's."""
    monkeypatch.setattr(exits, "_witness", lambda: None)
    monkeypatch.setattr(exits.procid, "process_id", lambda pid, boot: ProcessId(pid, 1, boot))
    program = tmp_path / "pwait"
    program.write_text(PWAIT.format(folder=tmp_path))
    program.chmod(0o755)
    witness = Exits(str(program))
    witness.watch(ProcessId(10, 1, "boot"))
    assert not witness.watches(10)
    for pid in (10, 11, 12, 13):
        witness.watch(ProcessId(pid, 1, "boot"), alone=True)
    assert [witness.status(pid) for pid in (10, 11, 12, 13)] == [None] * 4
    (tmp_path / "10").write_text("10: exited with status 7.\n")
    (tmp_path / "11").write_text("11: killed by signal 30.\n")
    (tmp_path / "12").write_text("")  # it was gone before pwait looked
    eventually(lambda: witness.status(10) is not None and witness.status(11) is not None)
    assert [witness.status(pid) for pid in (10, 11, 12, 13)] == [7 << 8, 30, None, None]
    for pid in (10, 11, 12, 13):
        witness.forget(pid)
    assert not witness.watches(13)


def test_no_pwait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then nobody tells, and that is no error."""
    monkeypatch.setattr(exits, "_witness", lambda: None)
    for witness in (Exits(), Exits(str(tmp_path / "none"))):
        own = procid.process_id(os.getpid(), "boot")
        assert own is not None
        witness.watch(own, alone=True)
        assert not witness.watches(own.pid)
        assert witness.status(own.pid) is None
