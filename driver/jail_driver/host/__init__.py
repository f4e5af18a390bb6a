"""The host's side: a small port, one real adapter over FreeBSD's commands, and an in-memory fake."""
