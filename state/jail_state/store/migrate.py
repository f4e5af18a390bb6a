"""Brings a database to the present schema, at the first real use, under a lock.

A database that is there already costs one read and no Alembic import. A newer one, or one of another
program, is refused before anything is written.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect

from jail_state.store import engine, files
from jail_state.store.errors import (
    StoreForeignError,
    StoreLockedError,
    StoreMissingError,
    StoreTooNewError,
    StoreTooOldError,
)
from jail_state.store.tables import APPLICATION_ID, REVISION
from jail_state.store.translate import translated

if TYPE_CHECKING:
    from alembic.config import Config

_POLL_S: Final = 0.05

_ALEMBIC = Lock()
"""Alembic's migration context is global to the process."""


def prepare(path: Path, *, timeout_s: float) -> None:
    """Make the database, or migrate it, unless it is at the present schema.

    Args:
        path: the database file; its directory must exist.
        timeout_s: how long to wait for another migration or writer, seconds.

    Raises:
        UnavailableError: in particular ``StoreTooNewError`` and ``StoreForeignError``, before any write.
    """
    with translated(path):
        if revision(path, timeout_s=timeout_s) == REVISION:
            return
        with locked(path, timeout_s=timeout_s):
            # Somebody else may have migrated while we waited.
            found = revision(path, timeout_s=timeout_s)
            if found != REVISION:
                _refuse_newer(path, found)
                _upgrade(path, timeout_s=timeout_s)


def revision(path: Path, *, timeout_s: float) -> str | None:
    """Return the schema's revision; None for a missing or empty database. Writes nothing.

    Raises:
        StoreForeignError: a database of another program.
        sqlite3.Error: or another error of SQLite's.
    """
    seen = files.look(path)
    if seen.size == 0:
        return None
    query = files.READ_SHARED if seen.log_size else files.READ_ALONE
    with engine.make_engine(path, query, timeout_s=timeout_s).connect() as connection:
        return revision_of(path, connection)


def revision_of(path: Path, connection: Connection) -> str | None:
    """Return the revision that an open database has; None if it is empty.

    Raises:
        StoreForeignError: a database of another program.
    """
    owner = engine.pragma(connection, "application_id")
    tables = inspect(connection).get_table_names()
    if not tables and owner in {0, APPLICATION_ID}:
        return None
    if owner != APPLICATION_ID or "alembic_version" not in tables:
        raise StoreForeignError(str(path), f"application id {owner}, tables {', '.join(sorted(tables))}")
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def check(path: Path, found: str | None) -> None:
    """Refuse a database that has not exactly our schema; the caller may not migrate it.

    Raises:
        StoreMissingError: it is empty.
        StoreTooNewError: a newer program's.
        StoreTooOldError: an older program's.
    """
    if found is None:
        raise StoreMissingError(str(path), "nothing was ever stored")
    if found != REVISION:
        _refuse_newer(path, found)
        raise StoreTooOldError(str(path), f"its schema is {found}, ours is {REVISION}")


@contextmanager
def locked(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the migration lock: flock(2) on a file of its own, as SQLite puts fcntl(2) locks on the database.

    Raises:
        StoreLockedError: another process held it for all that time.
    """
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout_s
        while not _try_lock(lock):
            if time.monotonic() >= deadline:
                raise StoreLockedError(str(path), f"another process is migrating it since {timeout_s:g} s")
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(lock)


def config() -> Config:
    """Return Alembic's configuration for the migrations that this program carries."""
    from alembic.config import Config  # noqa: PLC0415  # 150 ms that a database at head does not pay

    made = Config()
    # The option goes through configparser, where a per cent sign begins an interpolation.
    folder = str(resources.files("jail_migrations")).replace("%", "%%")
    made.set_main_option("script_location", folder)
    return made


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refuse_newer(path: Path, found: str | None) -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415  # as in config()

    ours = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    if found is not None and found not in ours:
        raise StoreTooNewError(str(path), f"its schema is {found}, ours is {REVISION}")


def _upgrade(path: Path, *, timeout_s: float) -> None:
    """Run the migrations in one transaction: a crash leaves the old schema whole."""
    from alembic import command  # noqa: PLC0415  # as in config()

    # Made by us, not by SQLite, for its mode: the companions take theirs from it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    alembic = config()
    with _ALEMBIC, engine.make_engine(path, "mode=rw", timeout_s=timeout_s).connect() as connection:
        engine.use_wal(connection)
        engine.pragma(connection, "synchronous = FULL")
        alembic.attributes["connection"] = connection
        with engine.kind(connection, engine.WRITE).begin():
            command.upgrade(alembic, "head")
