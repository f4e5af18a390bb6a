"""Alembic's environment: migrates a connection that is handed in, inside the caller's transaction.

The driver hands in its own connection (``jail_state.store.migrate``). By hand, for development:
``alembic -x db=/tmp/events.db revision --autogenerate -m "…"`` (or ``upgrade``, ``check``).
"""

from __future__ import annotations

from pathlib import Path

from alembic import context
from sqlalchemy import Connection

from jail_state.store import engine
from jail_state.store.tables import metadata


def migrate(connection: Connection) -> None:
    """Run what was asked for on an open connection."""
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def by_hand() -> None:
    """Run on the database named by ``-x db=PATH``, in one transaction."""
    path = context.get_x_argument(as_dictionary=True).get("db")
    if not isinstance(path, str):
        raise SystemExit("name the database: alembic -x db=PATH …")
    with engine.make_engine(Path(path), "mode=rwc", timeout_s=5.0).connect() as connection:
        engine.use_wal(connection)
        with engine.kind(connection, engine.WRITE).begin():
            migrate(connection)


handed_in = context.config.attributes.get("connection")
if context.is_offline_mode():
    context.configure(dialect_name="sqlite", target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
elif handed_in is not None:
    migrate(handed_in)
else:
    by_hand()
