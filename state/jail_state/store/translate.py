"""SQLite's and the system's errors into ours, in one place.

Result codes: https://www.sqlite.org/rescode.html; the low byte is the primary code.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from jail_state.store.errors import (
    StoreDamagedError,
    StoreFullError,
    StoreInputOutputError,
    StoreLockedError,
    StoreMissingError,
    StoreReadOnlyError,
    UnavailableError,
)

BY_CODE: Final[Mapping[int, type[UnavailableError]]] = MappingProxyType(
    {
        sqlite3.SQLITE_FULL: StoreFullError,
        sqlite3.SQLITE_BUSY: StoreLockedError,
        sqlite3.SQLITE_LOCKED: StoreLockedError,
        sqlite3.SQLITE_READONLY: StoreReadOnlyError,
        sqlite3.SQLITE_READONLY_DBMOVED: StoreMissingError,
        sqlite3.SQLITE_PERM: StoreReadOnlyError,
        sqlite3.SQLITE_AUTH: StoreReadOnlyError,
        sqlite3.SQLITE_IOERR: StoreInputOutputError,
        sqlite3.SQLITE_CORRUPT: StoreDamagedError,
        sqlite3.SQLITE_NOTADB: StoreDamagedError,
        # A missing table or column, or rows that contradict the heads: not the schema that we made.
        sqlite3.SQLITE_ERROR: StoreDamagedError,
        sqlite3.SQLITE_CONSTRAINT: StoreDamagedError,
        sqlite3.SQLITE_CANTOPEN: UnavailableError,
        sqlite3.SQLITE_NOMEM: UnavailableError,
    }
)
"""Exact codes first, then the primary code; anything else is ``UnavailableError``."""

_ROOM_BYTES = 64 * 1024


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what goes wrong inside as an ``UnavailableError`` about the database at ``path``."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig if isinstance(error.orig, Exception) else error
        raise from_sqlite(path, cause) from error
    except sqlite3.Error as error:
        raise from_sqlite(path, error) from error
    except MemoryError as error:
        raise UnavailableError(str(path), "out of memory") from error
    except OSError as error:
        raise from_system(path, error) from error
    except SQLAlchemyError as error:
        raise UnavailableError(str(path), str(error)) from error


def from_sqlite(path: Path, error: Exception) -> UnavailableError:
    """Return our error for one of the ``sqlite3`` module."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    kind = BY_CODE.get(code) or BY_CODE.get(code & 0xFF, UnavailableError)
    if code & 0xFF == sqlite3.SQLITE_CANTOPEN:
        kind = _why_not_opened(path)
    if kind is StoreInputOutputError and _without_room(path):
        # The shared-memory file cannot grow: SQLite says SQLITE_IOERR_SHMSIZE, the reason is the disk.
        kind = StoreFullError
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return kind(str(path), f"{error} ({name})")


def from_system(path: Path, error: OSError) -> UnavailableError:
    """Return our error for a failed system call."""
    why = error.strerror or str(error)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return StoreMissingError(str(path), why)
    if isinstance(error, PermissionError):
        return StoreReadOnlyError(str(path), why)
    return UnavailableError(str(path), why)


def _why_not_opened(path: Path) -> type[UnavailableError]:
    """SQLite says only that it cannot; its companion files need a directory that can be written."""
    if not path.exists():
        return StoreMissingError
    return UnavailableError if os.access(path.parent, os.W_OK) else StoreReadOnlyError


def _without_room(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _ROOM_BYTES
