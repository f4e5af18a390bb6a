"""The event store on SQLite, and its in-memory fake."""
