"""The event store on SQLite: WAL, one writer, group commits.

Durability by need: a commit always survives the death of the process, because the kernel has the pages. An
fsync of the log is paid only for a transaction that holds a durable append (``synchronous = FULL``); without
it (``NORMAL``) a power cut may take the unsynced tail, but never leaves a torn database
(https://www.sqlite.org/pragma.html#pragma_synchronous). A later durable commit syncs all before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from jail_state.store import engine, files, migrate, queries
from jail_state.store.admission import Batch, admit, nameable
from jail_state.store.codec import Codec
from jail_state.store.errors import (
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreMissingError,
    UnavailableError,
)
from jail_state.store.port import Append, History
from jail_state.store.rows import decode_all
from jail_state.store.tables import events, streams
from jail_state.store.translate import translated

_CLOSE = (
    update(streams)
    .where(streams.c.stream == bindparam("name"), streams.c.closed_at_ns.is_(None))
    .values(closed_at_ns=bindparam("at_ns"))
)


def open_store(path: Path, *, codec: Codec | None = None, busy_timeout_s: float = 5.0) -> SqliteStore:
    """Open the store for writing; make it, or migrate it, where needed.

    Args:
        path: the database file; its directory must exist.
        codec: encodes and decodes the events.
        busy_timeout_s: how long to wait for another process's lock, seconds.

    Raises:
        UnavailableError: and nothing was changed where the database is foreign or newer.
    """
    migrate.prepare(path, timeout_s=busy_timeout_s)
    store = SqliteStore(path, codec=codec, busy_timeout_s=busy_timeout_s)
    store.connect()
    return store


class SqliteStore:
    """An ``EventStore`` on a database that has our schema; see ``open_store``.

    Any thread may call, one at a time works. After a failure the connection is given up and made again
    by the next call, so that a disk that has room again, or a lock that is free, needs nothing else.
    """

    def __init__(self, path: Path, *, codec: Codec | None = None, busy_timeout_s: float = 5.0) -> None:
        self.path = path
        self._codec = codec or Codec()
        self._timeout_s = busy_timeout_s
        self._engine = engine.make_engine(path, "mode=rw", timeout_s=busy_timeout_s)
        self._connection: Connection | None = None
        self._file = self._log = (0, 0)
        self._full_sync: bool | None = None
        self._suspect = False
        self._shut = False
        self._lock = Lock()

    def connect(self) -> None:
        """Open the file now rather than at the first call.

        Raises:
            UnavailableError: why it cannot be opened.
        """
        with self._transaction(engine.READ):
            pass

    def commit(self, appends: Sequence[Append]) -> list[StoreError | None]:
        """See ``EventStore.commit``."""
        durable = any(append.durable for append in appends)
        with self._transaction(engine.WRITE, full_sync=durable) as connection:
            heads = queries.heads(connection, filter(nameable, (append.stream for append in appends)))
            batch = admit(appends, heads, self._codec)
            _write(connection, batch)
            return batch.outcomes

    def read(self, stream: str, after: int = 0) -> History:
        """See ``EventReader.read``."""
        with self._transaction(engine.READ) as connection:
            rows = queries.one(connection, stream, after)
            return decode_all(self._codec, rows, str(self.path), after).get(stream, ())

    def live(self) -> Mapping[str, History]:
        """See ``EventReader.live``."""
        with self._transaction(engine.READ) as connection:
            return decode_all(self._codec, queries.live(connection), str(self.path))

    def every(self) -> Mapping[str, History]:
        """See ``EventReader.every``."""
        with self._transaction(engine.READ) as connection:
            return decode_all(self._codec, queries.every(connection), str(self.path))

    def heads(self) -> Mapping[str, int]:
        """See ``EventReader.heads``."""
        with self._transaction(engine.READ) as connection:
            return {stream: head.version for stream, head in queries.heads(connection).items()}

    def closed(self) -> Mapping[str, int]:
        """See ``EventReader.closed``."""
        with self._transaction(engine.READ) as connection:
            heads = queries.heads(connection)
        return {stream: head.closed_at_ns for stream, head in heads.items() if head.closed_at_ns is not None}

    def close_stream(self, stream: str, at_ns: int) -> None:
        """See ``EventStore.close_stream``."""
        with self._transaction(engine.WRITE) as connection:
            connection.execute(_CLOSE, {"name": stream, "at_ns": at_ns})

    def purge(self, closed_before_ns: int) -> int:
        """See ``EventStore.purge``."""
        old = select(streams.c.stream).where(streams.c.closed_at_ns < closed_before_ns)
        with self._transaction(engine.WRITE) as connection:
            connection.execute(delete(events).where(events.c.stream.in_(old)))
            return connection.execute(
                delete(streams).where(streams.c.closed_at_ns < closed_before_ns)
            ).rowcount

    def probe(self) -> None:
        """See ``EventStore.probe``: sets the header's user_version, which writes one page.

        After damage was met it also reads the whole file, so that it does not call a torn one well.
        """
        with self._transaction(engine.WRITE) as connection:
            if self._suspect:
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                if found != "ok":
                    raise StoreDamagedError(str(self.path), str(found))
            connection.exec_driver_sql("PRAGMA user_version = 0")
        self._suspect = False

    def close(self) -> None:
        """See ``EventStore.close``; the last one out folds the log into the database file."""
        with self._lock:
            self._shut = True
            self._drop()
            self._engine.dispose()

    @contextmanager
    def _transaction(self, begin: str, *, full_sync: bool = False) -> Iterator[Connection]:
        with self._lock:
            if self._shut:
                raise StoreClosedError(str(self.path), "closed by the plugin")
            with translated(self.path):
                self._check_identity()
            try:
                with translated(self.path):
                    connection = engine.kind(self._connected(), begin)
                    if begin == engine.WRITE:
                        self._synchronous(connection, full=full_sync)
                    with connection.begin():
                        yield connection
            except BaseException as error:
                self._suspect |= isinstance(error, StoreDamagedError)
                self._drop()
                raise

    def _check_identity(self) -> None:
        """Notice that the file was taken away under the connection: SQLite would write into the void.

        While it is away the connection is kept, so that its inode cannot become another file's. Another
        file in its place is taken up by the next call, but never beside the log of the one before, which
        SQLite would replay into it (https://www.sqlite.org/howtocorrupt.html, section 1.4).
        """
        if self._connection is None or files.identity(self.path) == self._file:
            return
        log = files.log_of(self.path)
        if log.exists() and log.stat().st_size and files.identity(log) == self._log:
            raise StoreDamagedError(str(self.path), f"it was replaced, but {log.name} is still the old one's")
        self._drop()
        raise StoreMissingError(str(self.path), "another file stands in its place")

    def _connected(self) -> Connection:
        if self._connection is None:
            migrate.check(self.path, migrate.revision(self.path, timeout_s=self._timeout_s))
            self._file = files.identity(self.path)
            self._connection, self._full_sync = self._engine.connect(), None
            engine.use_wal(self._connection)
            self._log = files.identity(files.log_of(self.path))
        return self._connection

    def _synchronous(self, connection: Connection, *, full: bool) -> None:
        """Set the level outside of the transaction; inside SQLite would ignore it."""
        if self._full_sync is not full:
            engine.pragma(connection, f"synchronous = {'FULL' if full else 'NORMAL'}")
            self._full_sync = full

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(UnavailableError), translated(self.path):
                connection.close()


def _write(connection: Connection, batch: Batch) -> None:
    if batch.opened:
        connection.execute(insert(streams), [{"stream": name} for name in batch.opened])
    if batch.rows:
        connection.execute(insert(events), [row._asdict() for row in batch.rows])
    if batch.closing:
        connection.execute(_CLOSE, [{"name": name, "at_ns": at_ns} for name, at_ns in batch.closing.items()])
