"""The database file and its two companions, looked at without touching them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

READ_SHARED: Final = "mode=ro"
"""Reads beside a writer: takes part in SQLite's locking, in the shared-memory file."""

READ_ALONE: Final = "mode=ro&immutable=1"
"""Reads the database file alone: no locks, no companions made; only right while nobody writes."""


@dataclass(frozen=True, slots=True)
class Files:
    """What lies on the disk at one moment.

    Args:
        size: bytes of the database file; 0 where it is missing or was never written.
        log_size: bytes of the write-ahead log.
        has_index: whether the shared-memory file exists, so that readers can join without making it.
        print: changes whenever the database file or the log's length does.
    """

    size: int
    log_size: int
    has_index: bool
    print: tuple[int, ...]

    @property
    def is_shared(self) -> bool:
        """Whether a reader can, and has to, join in SQLite's locking."""
        return bool(self.log_size and self.has_index)


def log_of(path: Path) -> Path:
    """Return the write-ahead log of a database."""
    return path.with_name(f"{path.name}-wal")


def index_of(path: Path) -> Path:
    """Return the shared-memory index of a database's log."""
    return path.with_name(f"{path.name}-shm")


def identity(path: Path) -> tuple[int, int]:
    """Return device and inode: what a file is, whatever it is called.

    Raises:
        OSError: it is missing, or closed to us.
    """
    found = path.stat()
    return found.st_dev, found.st_ino


def look(path: Path) -> Files:
    """Look at a database's files.

    Raises:
        OSError: the directory is missing or closed to us; a missing file is an empty database.
    """
    path.parent.stat()
    try:
        main = path.stat()
    except FileNotFoundError:
        return Files(0, 0, has_index=False, print=())
    try:
        log_size = log_of(path).stat().st_size
    except FileNotFoundError:
        log_size = 0
    return Files(
        main.st_size,
        log_size,
        index_of(path).exists(),
        (main.st_dev, main.st_ino, main.st_size, main.st_mtime_ns, log_size),
    )
