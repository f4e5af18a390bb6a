"""The reads, on any connection: shared by the writer's store and the read-only one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, Select, func, select

from jail_state.store.admission import StreamHead
from jail_state.store.codec import Row
from jail_state.store.tables import events, streams

_ROWS = select(
    events.c.stream, events.c.seq, events.c.at_ns, events.c.name, events.c.version, events.c.data
).order_by(events.c.stream, events.c.seq)

# A scalar subquery a stream: SQLite answers max() of a key prefix with one seek.
_VERSION = (
    select(func.max(events.c.seq)).where(events.c.stream == streams.c.stream).correlate(streams)
).scalar_subquery()

_HEADS = select(streams.c.stream, func.coalesce(_VERSION, 0), streams.c.closed_at_ns)


def one(connection: Connection, stream: str, after: int) -> Iterator[Row]:
    """Read one stream's rows above a seq."""
    return _run(connection, _ROWS.where(events.c.stream == stream, events.c.seq > after))


def live(connection: Connection) -> Iterator[Row]:
    """Read the rows of the streams that are not closed."""
    still_open = select(streams.c.stream).where(streams.c.closed_at_ns.is_(None))
    return _run(connection, _ROWS.where(events.c.stream.in_(still_open)))


def every(connection: Connection) -> Iterator[Row]:
    """Read all rows."""
    return _run(connection, _ROWS)


def heads(connection: Connection, names: Iterable[str] | None = None) -> dict[str, StreamHead]:
    """Read where streams stand: all of them, or those named that exist."""
    query = _HEADS if names is None else _HEADS.where(streams.c.stream.in_(set(names)))
    return {stream: StreamHead(version, closed) for stream, version, closed in connection.execute(query)}


def _run(connection: Connection, query: Select[str, int, int, str, int, str]) -> Iterator[Row]:
    return map(Row._make, connection.execute(query))
