"""How processes that are not our children ended: the kernel as a second witness, beside their supervisors.

FreeBSD tells it through kqueue(2) (EVFILT_PROC, NOTE_EXIT: ``data`` is the status of wait(2), to whoever may see
the process; sys/kern/kern_event.c, filt_proc). Linux 6.15 and later tells it to whoever holds a pidfd
(ioctl PIDFD_GET_INFO, PIDFD_INFO_EXIT; include/uapi/linux/pidfd.h). A Linux Python on FreeBSD has neither, and
asks pwait(1), which has a kqueue; that costs a process, so it is asked only once nobody else will know.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
from typing import Any, Protocol

from jail_driver.supervisor import procid

_GET_INFO = 0xC048FF0B
"""_IOWR(0xFF, 11, struct pidfd_info), 72 bytes."""
_INFO = struct.Struct("<QQ11Ii2I")
_EXIT = 1 << 3
_EXIT_CODE = 13
_MOST_EVENTS = 256
_PWAIT_SAID = re.compile(rb"(exited with status|killed by signal) (\d+)\.")
"""Of ``pwait -v`` (bin/pwait/pwait.c), the signal as FreeBSD counts."""


class _Witness(Protocol):
    costly: bool
    """Whether it is asked only where nobody else can tell."""

    def attach(self, pid: int) -> None: ...

    def status(self, pid: int) -> int | None: ...

    def detach(self, pid: int) -> None: ...


class Exits:
    """Watches processes; asked once somebody else can no longer tell.

    Args:
        pwait: pwait(1) by absolute path, for a Python that cannot ask the kernel itself; empty if there is none.
    """

    def __init__(self, pwait: str = "") -> None:
        self._witness: _Witness | None = _witness() or (_Pwait(pwait) if pwait else None)
        self._watched: set[int] = set()

    @property
    def can_tell(self) -> bool:
        """Whether this kernel tells anything to this Python."""
        return self._witness is not None

    def watch(self, process: procid.ProcessId, *, alone: bool = False) -> None:
        """Watch a process from now on; one that is gone, or is another by now, is not watched.

        Args:
            process: whose end is to be told.
            alone: whether nobody else can tell it any more, so that it may cost something.
        """
        if self._witness is None or process.pid in self._watched or (self._witness.costly and not alone):
            return
        with contextlib.suppress(OSError):
            self._witness.attach(process.pid)
            self._watched.add(process.pid)
            # Looked at once it is held: its number cannot have gone to another one since.
            living = procid.process_id(process.pid, process.boot_id)
            if living is None or not procid.same_process(living, process):
                self.forget(process.pid)

    def status(self, pid: int) -> int | None:
        """Return the status of wait(2) of a process that was watched; None: it lives, or nobody can tell."""
        if self._witness is None or pid not in self._watched:
            return None
        return self._witness.status(pid)

    def watches(self, pid: int) -> bool:
        """Whether a process is watched, so that its end will be told."""
        return pid in self._watched

    def forget(self, pid: int) -> None:
        """Let a process go."""
        if self._witness is not None and pid in self._watched:
            self._watched.remove(pid)
            self._witness.detach(pid)


def _witness() -> _Witness | None:
    if hasattr(select, "kqueue"):
        return _Kqueue(select)
    witness = _Pidfds()
    try:
        witness.attach(os.getpid())
        witness.status(os.getpid())
        witness.detach(os.getpid())
    except (AttributeError, OSError):
        return None
    return witness


class _Kqueue:
    costly = False

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._queue = kernel.kqueue()
        self._ended: dict[int, int] = {}

    def attach(self, pid: int) -> None:
        kernel = self._kernel
        flags = kernel.KQ_EV_ADD | kernel.KQ_EV_ONESHOT
        event = kernel.kevent(pid, kernel.KQ_FILTER_PROC, flags, kernel.KQ_NOTE_EXIT)
        self._queue.control([event], 0, 0)

    def status(self, pid: int) -> int | None:
        while events := self._queue.control(None, _MOST_EVENTS, 0):
            self._ended.update((event.ident, event.data) for event in events)
        return self._ended.get(pid)

    def detach(self, pid: int) -> None:
        kernel = self._kernel
        with contextlib.suppress(OSError):  # it has ended, and its event was taken
            event = kernel.kevent(pid, kernel.KQ_FILTER_PROC, kernel.KQ_EV_DELETE)
            self._queue.control([event], 0, 0)
        self._ended.pop(pid, None)


class _Pidfds:
    costly = False

    def __init__(self) -> None:
        self._fds: dict[int, int] = {}

    def attach(self, pid: int) -> None:
        self._fds[pid] = os.pidfd_open(pid)

    def status(self, pid: int) -> int | None:
        info = bytearray(_INFO.size)
        _INFO.pack_into(info, 0, _EXIT, *[0] * 15)
        try:
            fcntl.ioctl(self._fds[pid], _GET_INFO, info)
        except ProcessLookupError:
            return None  # reaped by a kernel that does not keep the status
        told = _INFO.unpack(info)
        return told[_EXIT_CODE] if told[0] & _EXIT else None

    def detach(self, pid: int) -> None:
        os.close(self._fds.pop(pid))


class _Pwait:
    costly = True

    def __init__(self, program: str) -> None:
        self._program = program
        self._asked: dict[int, subprocess.Popen[bytes]] = {}
        self._said: dict[int, bytes] = {}

    def attach(self, pid: int) -> None:
        self._asked[pid] = subprocess.Popen(
            [self._program, "-v", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def status(self, pid: int) -> int | None:
        asked = self._asked[pid]
        if asked.poll() is None:
            return None
        if asked.stdout is not None and not asked.stdout.closed:
            self._said[pid] = asked.stdout.read()
            asked.stdout.close()
        said = _PWAIT_SAID.search(self._said[pid])
        if said is None:
            return None
        number = int(said[2])
        return number if said[1].startswith(b"killed") else number << 8

    def detach(self, pid: int) -> None:
        asked = self._asked.pop(pid)
        self._said.pop(pid, None)
        asked.kill()
        if asked.stdout is not None:
            asked.stdout.close()
        asked.wait()
