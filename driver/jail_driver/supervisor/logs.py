"""Where the task's output goes: Nomad's FIFOs, and a console log beside them if asked for.

A FIFO's reader (Nomad's log collector) ends at end of file, and its writer dies of SIGPIPE when no
reader is left. So the supervisor keeps each FIFO open for reading and writing, non-blocking, for the whole
life of the task; the task itself gets a second descriptor, blocking and write-only (the first kind would
give it EAGAIN when the FIFO is full).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from jail_driver.supervisor.pump import Pump

if TYPE_CHECKING:
    from collections.abc import Callable

    from jail_driver.supervisor.loop import Loop

# O_NOFOLLOW: the log directory is shared with the task, which must not point us elsewhere.
# O_NONBLOCK: whatever stands there, opening it must not hang (a FIFO without a reader would).
_COMMON = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CONSOLE = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _COMMON
_FLUSH_S = 2.0


class LogError(Exception):
    """A log cannot be opened; the text is a sentence."""


class Logs:
    """The open logs of one task.

    Args:
        loop: drives the copies when there is a console log.
        stdout: path of the FIFO, or of a plain file or device such as /dev/null.
        stderr: the same.
        console: path of a file that gets both streams as well, or None.

    Raises:
        LogError: one of them cannot be opened; the others are closed again.
        OSError: no descriptors left.
    """

    def __init__(self, loop: Loop, stdout: str, stderr: str, console: str | None) -> None:
        self._loop = loop
        self._kept: list[int] = []
        self._child_ends: list[int] = []
        self._pumps: list[Pump] = []
        try:
            console_fd = self._keep(console, _CONSOLE) if console else None
            for path in (stdout, stderr):
                self._add(path, console_fd)
        except (LogError, OSError):
            self.close()
            raise

    @property
    def child_ends(self) -> tuple[int, int]:
        """What commands get as stdout and stderr."""
        return self._child_ends[0], self._child_ends[1]

    def close_child_ends(self) -> None:
        """Closes them here once the last command has them: a pipe ends with its last writer."""
        while self._child_ends:
            os.close(self._child_ends.pop())

    def drain(self, then: Callable[[], None]) -> None:
        """Copies what is left in the pipes, then calls back. Call it when no process of the task is left.

        After 2 s without a reader the log's share is given up; the console log still gets its own.
        """
        self.close_child_ends()
        waiting = [pump for pump in self._pumps if not pump.finish()]
        if not waiting:
            then()
            return

        def settle() -> None:
            if all(pump.is_done for pump in waiting):
                timer.cancel()
                then()

        def give_up() -> None:
            for pump in waiting:
                pump.give_up()
            then()

        timer = self._loop.later(_FLUSH_S, give_up)
        for pump in waiting:
            pump.on_done = settle

    def close(self) -> None:
        """Closes everything: the readers of the FIFOs see the end."""
        self.close_child_ends()
        while self._pumps:
            self._pumps.pop().close()
        while self._kept:
            os.close(self._kept.pop())

    def _add(self, path: str, console_fd: int | None) -> None:
        kept, for_child = self._open(path)
        if console_fd is None:
            self._child_ends.append(for_child)
            return
        if kept is not None:
            os.close(for_child)
        else:
            self._kept.append(for_child)
        read, write = os.pipe()
        self._child_ends.append(write)
        self._pumps.append(Pump(self._loop, read, for_child if kept is None else kept, console_fd))

    def _open(self, path: str) -> tuple[int | None, int]:
        """Opens a log: the descriptor to keep (FIFOs only) and the one to write through."""
        if not stat.S_ISFIFO(_lstat(path).st_mode):
            return None, _blocking(_open(path, os.O_WRONLY | os.O_APPEND | _COMMON))
        kept = self._keep(path, os.O_RDWR | _COMMON)
        writer = _blocking(_open(path, os.O_WRONLY | _COMMON))
        if not os.path.sameopenfile(kept, writer):
            os.close(writer)
            raise LogError(f"cannot open the log {path}: it was replaced meanwhile")
        return kept, writer

    def _keep(self, path: str, flags: int) -> int:
        fd = _open(path, flags)
        self._kept.append(fd)
        return fd


def _lstat(path: str) -> os.stat_result:
    try:
        return os.lstat(path)
    except OSError as error:
        raise LogError(f"cannot open the log {path}: {error.strerror}") from error


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise LogError(f"cannot open the log {path}: {error.strerror}") from error


def _blocking(fd: int) -> int:
    os.set_blocking(fd, True)
    return fd
