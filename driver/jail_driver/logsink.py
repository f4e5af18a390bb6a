"""Where log lines go: a pipe that may die, a file that may fill the disk. Neither may ever stop a task.

After an agent's crash the plugin lives on with a dead stderr; a log line that raised there made Nomad kill a
healthy task. Standard library alone.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ROTATE_AT_BYTES = 10 * 1024 * 1024
KEPT_FILES = 5
FILE_MODE = 0o600


class PipeSink:
    """A descriptor, normally the agent's pipe: lines are dropped while it is full, for good when it is dead.

    Args:
        descriptor: owned from now on; a pipe is made non-blocking (a terminal, shared with others, is not).
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self.dropped = 0
        self.dead = False
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.set_blocking(descriptor, False)

    def write(self, line: bytes) -> None:
        """Writes one line, or drops it whole; never raises, never waits for the reader."""
        if self.dead:
            return
        if self._rest and not self._push(self._rest):
            self.dropped += 1
        elif not self._push(line) and self._rest == line:
            self._rest = b""
            self.dropped += 1

    def _push(self, data: bytes) -> bool:
        """Writes what fits; the rest of a line begun is kept, so that lines never mix. True if all went."""
        try:
            written = os.write(self._descriptor, data)
        except BlockingIOError:
            written = 0
        except OSError:
            self.dead = True
            self._rest = b""
            return False
        self._rest = data[written:]
        return not self._rest


class FileSink:
    """A file that is rotated by size: NAME, NAME.1 … NAME.5.

    Two plugins may share it while one hands over to the other, so each write looks whether the file is still
    the one that is open.

    Args:
        path: the newest file; its directory exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def write(self, line: bytes) -> None:
        """Appends one line; on a full disk or a missing directory the line is lost and the next one tries again."""
        try:
            self._ready(len(line))
            os.write(self._descriptor, line)
        except OSError:
            self.close()

    def close(self) -> None:
        """Closes the file; the next write opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _ready(self, room_bytes: int) -> None:
        if self._descriptor >= 0 and not self._is_current():
            self.close()
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, FILE_MODE)
        size = os.fstat(self._descriptor).st_size
        if size and size + room_bytes > ROTATE_AT_BYTES:
            self._rotate()
            self.close()
            self._ready(room_bytes)

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        for number in range(KEPT_FILES - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
