"""Where a command's output goes: an anonymous file in memory, never a pipe.

A pipe would kill the command (SIGPIPE) when this process dies, and a daemon that a hook leaves behind
would keep it open for ever. Text on disk would outlive its use, and hooks may print secrets. Sources:
memfd_create(2) and fcntl(2) of Linux and of FreeBSD (13.0 and later, also under its Linux ABI).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile


class Capture:
    """One output stream of one command; the tail is kept, the rest is dropped.

    Args:
        limit_bytes: how much of the end ``text`` returns, and about how much memory is used.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.fd = _anonymous_file()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.fd, fcntl.F_SETFL, os.O_APPEND)

    def trim(self) -> None:
        """Frees what a command wrote that prints far more than anyone reads.

        What it writes between the look and the cut is lost: this is a diagnostic tail, not a log.
        """
        if os.fstat(self.fd).st_size > 4 * self._limit_bytes:
            tail = self.tail()
            os.ftruncate(self.fd, 0)
            # The offset is shared with the command; without O_APPEND it would leave a hole.
            os.lseek(self.fd, 0, os.SEEK_SET)
            os.write(self.fd, tail)

    def tail(self) -> bytes:
        """Returns the end of what was written so far."""
        size = os.fstat(self.fd).st_size
        text = bytearray(min(size, self._limit_bytes))
        # Not pread(2): FreeBSD's Linux ABI asks whether it was a directory, and refuses (EINVAL) what is in no
        # file system (linux_file.c: linux_pread).
        count = os.preadv(self.fd, [text], size - len(text))
        # A command that opens /dev/stderr anew and truncates it leaves a hole in front of its output.
        return bytes(text[:count]).lstrip(b"\0")

    def seal(self) -> None:
        """Lets nobody write any more, now that the command has ended.

        A daemon that it left behind may hold the file, and nobody trims it from now on: its output is
        refused (EPERM, no signal), so that it cannot fill the memory.
        """
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)

    def close(self) -> None:
        """Closes our end; a command that goes on can still write."""
        os.close(self.fd)


def filled(data: bytes) -> int:
    """Returns a descriptor that reads ``data`` from its beginning; the caller closes it."""
    fd = _anonymous_file()
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _anonymous_file() -> int:
    try:
        return os.memfd_create("jail-task-driver", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENOSYS:
            raise  # of a kernel that has it: there are no descriptors, or there is no memory
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
