"""The event store: streams and their events.

Once released, a migration is never changed: write another one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables and mark the file as ours."""
    op.execute("PRAGMA application_id = 1247036485")
    op.create_table(
        "streams",
        sa.Column("stream", sa.Text, primary_key=True, nullable=False),
        sa.Column("closed_at_ns", sa.BigInteger, nullable=True),
        sqlite_with_rowid=False,
    )
    op.create_index("open_streams", "streams", ["stream"], sqlite_where=sa.text("closed_at_ns IS NULL"))
    op.create_table(
        "events",
        sa.Column("stream", sa.Text, primary_key=True, nullable=False),
        sa.Column("seq", sa.Integer, primary_key=True, nullable=False, autoincrement=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.CheckConstraint("seq > 0", name="seq_is_positive"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Go back: not offered. An older program refuses a newer database, and a backup is a file copy."""
    raise NotImplementedError("events are never taken back")
