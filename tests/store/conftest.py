"""Stores to be tested: the real one in a directory of its own, and the fake."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jail_state.store.memory import MemoryStore
from jail_state.store.port import EventStore
from jail_state.store.sqlite import SqliteStore, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of this test lies; a name that URIs and configparser would mangle."""
    directory = tmp_path / "a %d?#dir"
    directory.mkdir()
    return directory / "events.db"


@pytest.fixture
def sqlite(path: Path) -> Iterator[SqliteStore]:
    """An open store on SQLite."""
    store = open_store(path)
    yield store
    store.close()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> EventStore:
    """Every store there is: one contract for all."""
    if request.param == "memory":
        return MemoryStore()
    real: SqliteStore = request.getfixturevalue("sqlite")
    return real
