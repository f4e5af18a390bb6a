"""The event store on SQLite, and its in-memory fake.

Kept empty of imports: SQLAlchemy (a quarter of a second) is loaded by ``sqlite`` and ``readonly`` alone,
and Alembic only when a database has to be migrated.
"""
