"""Reads the event store with the plugin up or down, and leaves no trace of having looked.

Three cases, by what lies on the disk:

* a log and its index: the plugin is up, or was killed. Read in place, sharing SQLite's locks; nothing is
  created, the database and the log stay as they are.
* no log, or an empty one: all is in the database file. It is read alone, without locks, and the answer is
  thrown away if the file changed meanwhile (the plugin has just started).
* a log without its index, as in a copy or a backup: making the index would be a write, so a copy of the
  two, in a temporary directory, is read instead.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection

from jail_state.store import engine, files, migrate, queries
from jail_state.store.codec import Codec
from jail_state.store.errors import StoreLockedError, StoreMissingError
from jail_state.store.port import History
from jail_state.store.rows import decode_all
from jail_state.store.translate import translated

_ATTEMPTS: Final = 10

Answer = TypeVar("Answer")


class ReadOnlyStore:
    """An ``EventReader`` on a database that another process may be writing.

    Not for the process that writes: closing the file here would take that process's fcntl(2) locks away.

    Args:
        path: the database file.
        codec: decodes the events.
        busy_timeout_s: how long to wait for a lock, seconds.
    """

    def __init__(self, path: Path, *, codec: Codec | None = None, busy_timeout_s: float = 5.0) -> None:
        self.path = path
        self._codec = codec or Codec()
        self._timeout_s = busy_timeout_s

    def read(self, stream: str, after: int = 0) -> History:
        """See ``EventReader.read``."""

        def ask(connection: Connection) -> History:
            rows = queries.one(connection, stream, after)
            return decode_all(self._codec, rows, str(self.path), after).get(stream, ())

        return self._ask(ask)

    def live(self) -> Mapping[str, History]:
        """See ``EventReader.live``."""
        return self._ask(lambda found: decode_all(self._codec, queries.live(found), str(self.path)))

    def every(self) -> Mapping[str, History]:
        """See ``EventReader.every``."""
        return self._ask(lambda found: decode_all(self._codec, queries.every(found), str(self.path)))

    def heads(self) -> Mapping[str, int]:
        """See ``EventReader.heads``."""
        heads = self._ask(queries.heads)
        return {stream: head.version for stream, head in heads.items()}

    def closed(self) -> Mapping[str, int]:
        """See ``EventReader.closed``."""
        heads = self._ask(queries.heads)
        return {stream: head.closed_at_ns for stream, head in heads.items() if head.closed_at_ns is not None}

    def _ask(self, question: Callable[[Connection], Answer]) -> Answer:
        """Ask until the files stood still meanwhile; each attempt sees one consistent state.

        Raises:
            UnavailableError: in particular ``StoreMissingError`` where nothing was ever stored.
        """
        failure: Exception = StoreLockedError(str(self.path), "it kept changing while it was read")
        with translated(self.path):
            for _ in range(_ATTEMPTS):
                seen = files.look(self.path)
                try:
                    with self._view(seen) as connection:
                        answer = question(connection)
                except Exception as error:
                    # What was torn by a writer that came or went proves nothing.
                    if files.look(self.path).print == seen.print:
                        raise
                    failure = error
                    continue
                if seen.is_shared or files.look(self.path).print == seen.print:
                    return answer
            raise failure

    @contextmanager
    def _view(self, seen: files.Files) -> Iterator[Connection]:
        if seen.size == 0:
            raise StoreMissingError(str(self.path), "nothing was ever stored")
        if seen.is_shared or not seen.log_size:
            with self._open(self.path, files.READ_SHARED if seen.is_shared else files.READ_ALONE) as found:
                yield found
            return
        with tempfile.TemporaryDirectory(prefix="jail-state-") as directory:
            copy = Path(directory) / self.path.name
            shutil.copyfile(self.path, copy)
            shutil.copyfile(files.log_of(self.path), files.log_of(copy))
            with self._open(copy, "mode=rw") as found:
                yield found

    @contextmanager
    def _open(self, path: Path, query: str) -> Iterator[Connection]:
        opened = engine.make_engine(path, query, timeout_s=self._timeout_s)
        with opened.connect() as connection, connection.begin():
            migrate.check(self.path, migrate.revision_of(self.path, connection))
            yield connection
