"""The supervisor's directory: names, lock, and files that survive a power cut."""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any

VERSION = 1
"""Stands in each record and each message. A newer number than ours is refused, an older one is read."""

IDENTITY = "identity.json"
EXIT = "exit.json"
LOCK = "lock"
LOG = "supervisor.log"

_LOCK_WAIT_S = 2.0


class Directory:
    """An open directory: it stays the same one when its path is moved or mounted over.

    Args:
        path: an existing directory.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Replaces a JSON file so that after a crash the old or the new one is there, whole.

        Temp file, fsync, rename, fsync of the directory (rename(2), fsync(2)).

        Raises:
            OSError: nothing is replaced, or the replacement may not be durable yet: write again.
        """
        temp = f"{name}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temp, flags, 0o600, dir_fd=self.fd)
        try:
            left = memoryview(json.dumps(content).encode() + b"\n")
            while left:
                left = left[os.write(fd, left) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temp, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        os.fsync(self.fd)

    def read(self, name: str) -> dict[str, Any] | None:
        """Reads a JSON file; None if it is not there.

        Raises:
            OSError, ValueError: it is there and cannot be read.
        """
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.fd)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as file:  # noqa: PTH123  # a descriptor, not a path
            content: dict[str, Any] = json.load(file)
        return content

    def remove(self, *names: str) -> None:
        """Removes files; a missing one is fine."""
        for name in names:
            try:
                os.unlink(name, dir_fd=self.fd)
            except OSError:
                continue

    def is_removed(self) -> bool:
        """Tells whether somebody removed the directory itself: nothing can be stored in it any more."""
        return os.fstat(self.fd).st_nlink == 0

    def send_stderr_to_log(self) -> None:
        """Makes descriptor 2 the file that takes the supervisor's own last words (tracebacks)."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(LOG, flags, 0o600, dir_fd=self.fd)
        os.dup2(fd, 2)
        os.close(fd)

    def lock(self) -> int:
        """Takes the lock that says "a supervisor lives here", until the process ends.

        flock(2), never fcntl(2): under FreeBSD's Linux ABI the two conflict with each other even in one
        process, and a fcntl lock goes with the first close of any descriptor of the file.

        Returns:
            The descriptor that holds it: keep it open, and away from children.

        Raises:
            OSError: another supervisor holds it.
        """
        deadline = time.monotonic() + _LOCK_WAIT_S
        while True:
            fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_current(fd):
                    return fd
            except OSError:
                # A prober of `alive` holds it for microseconds; a living supervisor for good.
                if time.monotonic() > deadline:
                    os.close(fd)
                    raise
                time.sleep(0.02)
            os.close(fd)

    def _is_current(self, fd: int) -> bool:
        """Tells whether the locked file still has its name: an aborted supervisor removes its own."""
        try:
            named = os.stat(LOCK, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        ours = os.fstat(fd)
        return (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)
