"""Commands in flight outlive the plugin: the lock files by which a newer one waits for them.

A command inherits an open, locked descriptor; the lock ends when the last process that inherited it
ends. Only flock(2) is used: under FreeBSD's Linux ABI it conflicts with fcntl(2) locks even within one
process (recorded).
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import json
import os
import signal
import time
from pathlib import Path

from jail_driver.backoff import happens
from jail_driver.host.errors import BusyError, HostError
from jail_driver.supervisor import procid

_PATIENCE_S = 2.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_NOT_BEGUN = b"not begun"


class InFlight(enum.Enum):
    """What ``wait_in_flight`` found."""

    FREE = "free"
    """No command is running: it ended, or never began. Observe the host."""
    KILLED = "killed"
    """It did not end in time; its process group was killed. Observe the host."""
    HELD = "held"
    """Something still runs and may not be killed safely: the outcome stays unknown."""


def acquire(lock: Path) -> int | None:
    """Opens and locks the file of an effect; the descriptor is for the command to inherit.

    Blocks up to two seconds (a sibling that is just being started holds every descriptor until its
    exec), so this belongs in a thread.

    Returns:
        The descriptor, or None where the disk is full: a teardown must work without its locks too.

    Raises:
        BusyError: an earlier command of this effect, or what it left behind, still runs.
        HostError: the file cannot be opened.
    """
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno in _NO_ROOM:
            return None
        raise HostError(f"lock {lock}", os.strerror(error.errno or 0)) from error
    deadline_s = time.monotonic() + _PATIENCE_S
    while not _try_lock(fd):
        if time.monotonic() > deadline_s:
            os.close(fd)
            raise BusyError(f"lock {lock}", "an earlier command of this step is still running")
        time.sleep(0.02)
    return fd


def prepare(lock: Path) -> None:
    """Note that the command of an effect has not begun: for effects that nothing on the host shows.

    A full disk costs only the knowledge: without the note the command counts as begun.
    """
    with contextlib.suppress(OSError):
        fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, _NOT_BEGUN)
        finally:
            os.close(fd)


def begin(fd: int) -> None:
    """Take the note back, at the last moment before the command may run.

    Raises:
        OSError: it still stands; the command must not run.
    """
    os.ftruncate(fd, 0)


def has_begun(lock: Path) -> bool:
    """Tell whether the command of an effect may have run; asked once nobody holds the lock."""
    try:
        return lock.read_bytes() != _NOT_BEGUN
    except OSError:
        return True


def record(fd: int, pid: int) -> None:
    """Notes which process runs, for ``wait_in_flight``; a full disk costs only the ability to kill it.

    The file is empty: ``begin`` came before.
    """
    with contextlib.suppress(OSError, ValueError):
        note = {"pid": pid, "started_ticks": procid.newborn_id(pid, "").started_ticks}
        os.pwrite(fd, json.dumps(note).encode(), 0)


async def wait_in_flight(lock: Path, timeout_s: float, *, grace_s: float = 5.0) -> InFlight:
    """Waits until no process holds the lock of an effect, killing the command at the bound.

    Args:
        lock: the file that was given to ``CommandRunner.run``; it need not exist.
        timeout_s: how long the command may go on.
        grace_s: how long it may take to die once killed.
    """
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return InFlight.FREE
    except OSError as error:
        raise HostError(f"lock {lock}", os.strerror(error.errno or 0)) from error
    try:
        if await _free_within(fd, timeout_s):
            return InFlight.FREE
        if _kill_recorded(fd) and await _free_within(fd, grace_s):
            return InFlight.KILLED
        return InFlight.HELD
    finally:
        os.close(fd)


async def _free_within(fd: int, timeout_s: float) -> bool:
    # Nothing tells when somebody else's lock ends without a thread that blocks in flock(2) for good;
    # this is recovery, bounded, and seldom has to look twice.
    if not await happens(lambda: _try_lock(fd), timeout_s, most_s=0.5):
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _kill_recorded(fd: int) -> bool:
    """Kills the recorded process group, if its leader is provably the recorded process.

    A leader that is gone means that the command ended and left something behind: that may be a daemon
    which the hook was there to start, and its group number may be somebody else's by now.
    """
    try:
        note = json.loads(os.pread(fd, 4096, 0))
        pid, started_ticks = int(note["pid"]), int(note["started_ticks"])
    except (ValueError, TypeError, KeyError):
        return False
    living = procid.process_id(pid, "")
    # The lock is held, so that this is the boot in which the command began.
    if living is None or not procid.same_process(living, procid.ProcessId(pid, started_ticks, "")):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return True
