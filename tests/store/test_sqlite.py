"""What only a real database can do: survive, be shared, be damaged."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from jail_state.core.events import NoticeGiven
from jail_state.store.errors import (
    ConcurrencyError,
    StoreDamagedError,
    StoreLockedError,
    StoreTooNewError,
)
from jail_state.store.sqlite import SqliteStore, open_store
from store.samples import add, setting

CHILD = """
import sys, time
from pathlib import Path
from jail_state.core.events import NoticeGiven
from jail_state.store.port import Append
from jail_state.store.sqlite import open_store
store = open_store(Path(sys.argv[1]))
assert store.commit([Append("s", 0, (NoticeGiven("written"),), 1)]) == [None]
print("done", flush=True)
time.sleep(60)
"""


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file as an outsider."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


class TestSurvival:
    """A commit outlives the process that made it."""

    def test_a_commit_survives_kill_nine(self, path: Path) -> None:
        """Without an fsync and without a clean close."""
        child = subprocess.Popen([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE)
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"done\n"
            child.send_signal(signal.SIGKILL)
        assert Path(f"{path}-wal").stat().st_size > 0
        with closing(open_store(path)) as store:
            assert [one.event for one in store.read("s")] == [NoticeGiven("written")]

    def test_only_a_durable_append_pays_for_an_fsync(self, sqlite: SqliteStore) -> None:
        """``synchronous`` is FULL (2) for a transaction with a durable append, else NORMAL (1)."""
        sqlite.commit([add("s", 0, "a")])
        assert setting(sqlite, "synchronous") == 1
        sqlite.commit([add("s", 1, "b"), add("s", 2, "c", durable=True)])
        assert setting(sqlite, "synchronous") == 2
        sqlite.commit([add("s", 3, "d")])
        assert setting(sqlite, "synchronous") == 1

    def test_the_files_are_private(self, sqlite: SqliteStore) -> None:
        """Hook names and host paths are the operator's business."""
        sqlite.commit([add("s", 0, "a")])
        modes = {file.name: file.stat().st_mode & 0o777 for file in sqlite.path.parent.iterdir()}
        assert modes == dict.fromkeys(
            ("events.db", "events.db-wal", "events.db-shm", "events.db.lock"), 0o600
        )

    def test_a_clean_close_leaves_one_file(self, sqlite: SqliteStore) -> None:
        """The log is folded into the database, so that a copy of one file is a backup."""
        sqlite.commit([add("s", 0, "a")])
        sqlite.close()
        assert sorted(file.name for file in sqlite.path.parent.iterdir()) == ["events.db", "events.db.lock"]


class TestSharing:
    """Another process may read, and may write: nothing is overwritten."""

    def test_two_writers_never_overwrite_each_other(self, sqlite: SqliteStore) -> None:
        """The second learns that it knew too little."""
        with closing(open_store(sqlite.path)) as other:
            assert other.commit([add("s", 0, "first")]) == [None]
            (error,) = sqlite.commit([add("s", 0, "second")])
            assert isinstance(error, ConcurrencyError)
            assert sqlite.commit([add("s", 1, "second")]) == [None]

    def test_a_lock_that_stays_is_reported(self, path: Path) -> None:
        """And once it is gone the same store works again; reading worked all the time."""
        with closing(open_store(path, busy_timeout_s=0.05)) as store, raw(path) as outsider:
            store.commit([add("s", 0, "a")])
            outsider.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreLockedError, match="another process is writing"):
                store.commit([add("s", 1, "b")])
            assert store.heads() == {"s": 1}
            outsider.execute("ROLLBACK")
            assert store.commit([add("s", 1, "b")]) == [None]


class TestDamage:
    """What cannot be read is said, with its place, never skipped or guessed."""

    def test_a_file_of_noise(self, path: Path) -> None:
        """Not a database at all; it stays as it is."""
        path.write_bytes(b"noise" * 1000)
        with pytest.raises(StoreDamagedError, match="NOTADB"):
            open_store(path)
        assert path.read_bytes() == b"noise" * 1000

    def test_a_torn_page(self, path: Path) -> None:
        """Met by a read or not, the probe calls it well only when the whole file is sound."""
        with closing(open_store(path)) as store:
            store.commit([add("s", 0, *("x" * 500 for _ in range(40)))])
        whole = path.read_bytes()
        with closing(open_store(path)) as store:
            path.write_bytes(whole[: len(whole) // 2] + b"\xff" * (len(whole) - len(whole) // 2))
            with pytest.raises(StoreDamagedError, match="keep a copy"):
                store.read("s")
            with pytest.raises(StoreDamagedError):
                store.probe()
            path.write_bytes(whole)
            store.probe()
            assert len(store.read("s")) == 40

    @pytest.mark.parametrize(
        ("sql", "kind", "text"),
        [
            ("UPDATE events SET data = '{' WHERE seq = 2", StoreDamagedError, "event 2 of stream 's'"),
            ("UPDATE events SET data = '{}' WHERE seq = 2", StoreDamagedError, "unknown: text"),
            ("UPDATE events SET data = '{\"text\":5}' WHERE seq = 2", StoreDamagedError, "text: a int"),
            (
                "DELETE FROM events WHERE seq = 2",
                StoreDamagedError,
                "3 of stream 's' does not follow event 1",
            ),
            (
                "DELETE FROM events WHERE seq = 1",
                StoreDamagedError,
                "2 of stream 's' does not follow event 0",
            ),
            ("UPDATE events SET name = 'future' WHERE seq = 2", StoreTooNewError, "does not know"),
            ("UPDATE events SET version = 9 WHERE seq = 2", StoreTooNewError, "up to 1"),
            ("UPDATE events SET version = 0 WHERE seq = 2", StoreDamagedError, "no upcaster"),
            ("DROP TABLE events", StoreDamagedError, "no such table"),
        ],
    )
    def test_a_row_that_is_no_event(self, sqlite: SqliteStore, sql: str, kind: type, text: str) -> None:
        """An event of a newer program is told from damage; both name the place."""
        sqlite.commit([add("s", 0, "a", "b", "c")])
        with raw(sqlite.path) as outsider:
            outsider.execute(sql)
        for read in (lambda: sqlite.read("s"), sqlite.live, sqlite.every):
            with pytest.raises(kind, match=text):
                read()

    def test_rows_that_contradict_their_heads(self, sqlite: SqliteStore) -> None:
        """The primary key stands behind the version check."""
        with raw(sqlite.path) as outsider:
            outsider.execute("INSERT INTO events VALUES ('s', 1, 1, 'x', 1, '{}')")
        with pytest.raises(StoreDamagedError, match="UNIQUE"):
            sqlite.commit([add("s", 0, "a")])
