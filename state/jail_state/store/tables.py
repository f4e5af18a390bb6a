"""The schema, said once: what the migrations lead to (a test compares the two).

Events are only ever inserted, and deleted whole streams at a time by the retention. The events table is
its own primary key index (WITHOUT ROWID): a stream's rows lie together, which is how they are read.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, MetaData, Table, Text, text

REVISION: Final = "0001"
"""The migration that makes this schema; a database that holds it needs no Alembic."""

APPLICATION_ID: Final = 0x4A544445
"""``PRAGMA application_id`` ("JTDE"): tells our file from another program's."""

metadata: Final = MetaData()

streams: Final = Table(
    "streams",
    metadata,
    Column("stream", Text, primary_key=True, nullable=False),
    Column("closed_at_ns", BigInteger, nullable=True),
    Index("open_streams", "stream", sqlite_where=text("closed_at_ns IS NULL")),
    sqlite_with_rowid=False,
)
"""One row a stream; ``closed_at_ns`` is UTC, nanoseconds since the epoch, NULL while it is open."""

events: Final = Table(
    "events",
    metadata,
    Column("stream", Text, primary_key=True, nullable=False),
    Column("seq", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("data", Text, nullable=False),
    CheckConstraint("seq > 0", name="seq_is_positive"),
    sqlite_with_rowid=False,
)
"""One row an event; ``data`` is JSON, ``at_ns`` UTC in nanoseconds since the epoch."""
