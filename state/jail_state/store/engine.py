"""How a SQLite file is opened: one SQLAlchemy engine a connection, transactions under our control.

The ``sqlite3`` module would begin transactions of its own, and always deferred; with ``isolation_level``
None it leaves that to us, and the engine's "begin" listener says which kind.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, create_engine, event

WRITE: Final = "BEGIN IMMEDIATE"
"""Takes the write lock at once: a head that was read cannot change before the commit."""

READ: Final = "BEGIN"

_OPTION = "jail_begin"

_LOG_LIMIT_BYTES = 4 * 1024 * 1024
"""What a long reader let the log grow to is given back above this."""


def make_engine(path: Path, query: str, *, timeout_s: float) -> Engine:
    """Return an engine whose connections open ``path`` with SQLite's URI parameters.

    Args:
        path: the database file; never created unless the query says so.
        query: URI parameters, such as ``mode=rw`` (https://www.sqlite.org/uri.html).
        timeout_s: how long to wait for a lock, seconds.
    """
    address = f"file:{quote(str(path.absolute()))}?{query}"

    def connect() -> sqlite3.Connection:
        # One thread at a time uses the connection, but not always the same one.
        return sqlite3.connect(
            address, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
        )

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    event.listen(engine, "begin", _begin)
    return engine


def kind(connection: Connection, begin: str) -> Connection:
    """Say how the next transaction of the connection begins: ``WRITE`` or ``READ``."""
    return connection.execution_options(**{_OPTION: begin})


def pragma(connection: Connection, text: str) -> object:
    """Run a pragma outside of any transaction; return the first column of its first row, if any."""
    raw = connection.connection.dbapi_connection
    if not isinstance(raw, sqlite3.Connection):
        raise TypeError("not a connection of the sqlite3 module")
    row = raw.execute(f"PRAGMA {text}").fetchone()
    return None if row is None else row[0]


def use_wal(connection: Connection) -> None:
    """Switch the database to write-ahead logging (it stays so), or find that it is.

    Raises:
        sqlite3.OperationalError: the file system cannot share memory between processes.
    """
    mode = pragma(connection, "journal_mode = WAL")
    if mode != "wal":
        raise sqlite3.OperationalError(f"journal mode is {mode}, not WAL: a local file system is needed")
    pragma(connection, f"journal_size_limit = {_LOG_LIMIT_BYTES}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_OPTION, READ))
