"""The event store in memory, for unit tests: held to the same contract suite as SQLite's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from jail_state.store.admission import StreamHead, admit
from jail_state.store.codec import Codec, Row
from jail_state.store.errors import StoreClosedError, StoreError, UnavailableError
from jail_state.store.port import Append, History
from jail_state.store.rows import decode_all

PATH = ":memory:"


class MemoryStore:
    """An ``EventStore`` that keeps encoded rows, so that it forgets exactly what the disk would.

    Args:
        codec: encodes and decodes the events.

    Attributes:
        failure: while set, every call raises it, as a full or broken disk would.
    """

    def __init__(self, codec: Codec | None = None) -> None:
        self.failure: UnavailableError | None = None
        self._codec = codec or Codec()
        self._rows: dict[str, list[Row]] = {}
        self._closed: dict[str, int] = {}
        self._synced: tuple[dict[str, tuple[Row, ...]], dict[str, int]] = ({}, {})
        self._shut = False
        self._lock = Lock()

    def commit(self, appends: Sequence[Append]) -> list[StoreError | None]:
        """See ``EventStore.commit``."""
        with self._lock:
            self._check()
            heads = {stream: self._head(stream) for stream in self._rows}
            batch = admit(appends, heads, self._codec)
            for row in batch.rows:
                self._rows.setdefault(row.stream, []).append(row)
            self._closed |= batch.closing
            if any(append.durable for append in appends):
                self._sync()
            return batch.outcomes

    def read(self, stream: str, after: int = 0) -> History:
        """See ``EventReader.read``."""
        with self._lock:
            self._check()
            rows = self._rows.get(stream, [])[after:]
            return decode_all(self._codec, rows, PATH, after).get(stream, ())

    def live(self) -> Mapping[str, History]:
        """See ``EventReader.live``."""
        with self._lock:
            self._check()
            return self._decode(
                row for stream, rows in self._rows.items() if stream not in self._closed for row in rows
            )

    def every(self) -> Mapping[str, History]:
        """See ``EventReader.every``."""
        with self._lock:
            self._check()
            return self._decode(row for rows in self._rows.values() for row in rows)

    def heads(self) -> Mapping[str, int]:
        """See ``EventReader.heads``."""
        with self._lock:
            self._check()
            return {stream: len(rows) for stream, rows in self._rows.items()}

    def closed(self) -> Mapping[str, int]:
        """See ``EventReader.closed``."""
        with self._lock:
            self._check()
            return dict(self._closed)

    def close_stream(self, stream: str, at_ns: int) -> None:
        """See ``EventStore.close_stream``."""
        with self._lock:
            self._check()
            if stream in self._rows:
                self._closed.setdefault(stream, at_ns)

    def purge(self, closed_before_ns: int) -> int:
        """See ``EventStore.purge``."""
        with self._lock:
            self._check()
            old = [stream for stream, at_ns in self._closed.items() if at_ns < closed_before_ns]
            for stream in old:
                del self._rows[stream], self._closed[stream]
            return len(old)

    def probe(self) -> None:
        """See ``EventStore.probe``."""
        with self._lock:
            self._check()

    def close(self) -> None:
        """See ``EventStore.close``."""
        self._shut = True

    def cut_power(self) -> None:
        """Lose what a power cut may take at worst: all that was stored after the last durable append."""
        with self._lock:
            rows, closed = self._synced
            self._rows, self._closed = {stream: list(kept) for stream, kept in rows.items()}, dict(closed)

    def _sync(self) -> None:
        self._synced = {stream: tuple(rows) for stream, rows in self._rows.items()}, dict(self._closed)

    def _head(self, stream: str) -> StreamHead:
        return StreamHead(len(self._rows[stream]), self._closed.get(stream))

    def _decode(self, rows: Iterable[Row]) -> dict[str, History]:
        return decode_all(self._codec, rows, PATH)

    def _check(self) -> None:
        if self._shut:
            raise StoreClosedError(PATH, "closed by the plugin")
        if self.failure is not None:
            raise self.failure
