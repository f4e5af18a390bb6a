"""What only a real database can do: survive, be shared, be lost, be damaged, be full."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from jail_state.core.events import NoticeGiven
from jail_state.store import engine, translate
from jail_state.store.errors import (
    ConcurrencyError,
    StoreDamagedError,
    StoreFullError,
    StoreInputOutputError,
    StoreLockedError,
    StoreMissingError,
    StoreReadOnlyError,
    StoreTooNewError,
    UnavailableError,
)
from jail_state.store.sqlite import SqliteStore, open_store
from store.samples import add

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


def setting(store: SqliteStore, pragma: str) -> object:
    """Read a pragma of the store's own connection."""
    assert store._connection is not None
    return engine.pragma(store._connection, pragma)


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


class TestFull:
    """A full disk refuses, loses nothing, and heals."""

    def test_a_file_that_may_not_grow(self, sqlite: SqliteStore) -> None:
        """SQLITE_FULL rolls the whole transaction back; the next connection has no limit."""
        sqlite.commit([add("s", 0, "a")])
        pages = setting(sqlite, "page_count")
        setting(sqlite, f"max_page_count = {pages}")
        with pytest.raises(StoreFullError, match="free some space"):
            sqlite.commit([add("s", 1, "b" * 100_000), add("t", 0, "c")])
        assert sqlite.heads() == {"s": 1}
        assert sqlite.commit([add("s", 1, "b" * 100_000)]) == [None]

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
    def test_a_full_file_system(self, tmp_path: Path) -> None:
        """ENOSPC from the kernel: refused while it lasts, also at a new start, and works after."""
        with small_tmpfs(tmp_path / "small") as disk, closing(open_store(disk / "events.db")) as store:
            store.commit([add("s", 0, "a", durable=True)])
            filler = disk / "filler"
            fill(filler)
            stored = commit_until_full(store)
            with pytest.raises(StoreFullError):
                store.commit([add("t", 0, "x" * 100_000)])
            filler.unlink()
            store.probe()
            assert store.commit([add("s", stored, "room again", durable=True)]) == [None]
            assert len(store.read("s")) == stored + 1

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
    def test_a_new_database_on_a_full_file_system(self, tmp_path: Path) -> None:
        """Nothing half-made is left that would stop the next attempt."""
        with small_tmpfs(tmp_path / "small") as disk:
            filler = disk / "filler"
            fill(filler)
            with pytest.raises(StoreFullError):
                open_store(disk / "events.db")
            filler.unlink()
            with closing(open_store(disk / "events.db")) as store:
                assert store.commit([add("s", 0, "a")]) == [None]

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
    def test_a_read_only_file_system(self, tmp_path: Path) -> None:
        """History can be read, and the refusal says what to check."""
        with small_tmpfs(tmp_path / "small") as disk:
            with closing(open_store(disk / "events.db")) as store:
                store.commit([add("s", 0, "a")])
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            with pytest.raises(StoreReadOnlyError, match="mount options"):
                open_store(disk / "events.db").commit([add("s", 1, "b")])


class TestLoss:
    """Files that vanish or change hands are noticed before anything is written into the void."""

    def test_a_missing_directory_comes_back(self, sqlite: SqliteStore) -> None:
        """Moved away: refused. Moved back: everything is there."""
        sqlite.commit([add("s", 0, "a")])
        home = sqlite.path.parent
        home.rename(home.with_name("away"))
        for _ in range(2):
            with pytest.raises(StoreMissingError, match="restore the state directory"):
                sqlite.commit([add("s", 1, "b")])
        home.with_name("away").rename(home)
        assert sqlite.commit([add("s", 1, "b")]) == [None]

    def test_a_missing_file_is_not_made_anew(self, sqlite: SqliteStore) -> None:
        """An empty database would pass for "no task ever ran"."""
        sqlite.commit([add("s", 0, "a")])
        sqlite.path.unlink()
        with pytest.raises(StoreMissingError):
            sqlite.commit([add("s", 1, "b")])
        with pytest.raises(StoreMissingError):
            sqlite.probe()
        assert not sqlite.path.exists()

    def test_a_backup_put_in_its_place_is_taken_up(self, sqlite: SqliteStore, tmp_path: Path) -> None:
        """Once it is noticed, without the old one's log, and with the versions that it holds."""
        with closing(open_store(tmp_path / "backup.db")) as backup:
            backup.commit([add("s", 0, "restored")])
        sqlite.commit([add("s", 0, "a", "b")])
        (tmp_path / "backup.db").rename(sqlite.path)
        for _ in range(2):
            with pytest.raises(StoreDamagedError, match=r"events\.db-wal is still the old one's"):
                sqlite.commit([add("s", 2, "c")])
        Path(f"{sqlite.path}-wal").unlink()
        Path(f"{sqlite.path}-shm").unlink()
        with pytest.raises(StoreMissingError, match="another file"):
            sqlite.commit([add("s", 2, "c")])
        (error,) = sqlite.commit([add("s", 2, "c")])
        assert isinstance(error, ConcurrencyError)
        assert error.actual == 1
        assert [one.event for one in sqlite.read("s")] == [NoticeGiven("restored")]


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


class TestTranslation:
    """Every row of the table from SQLite's errors to ours."""

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            (sqlite3.SQLITE_FULL, StoreFullError),
            (sqlite3.SQLITE_BUSY, StoreLockedError),
            (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreLockedError),
            (sqlite3.SQLITE_LOCKED, StoreLockedError),
            (sqlite3.SQLITE_READONLY, StoreReadOnlyError),
            (sqlite3.SQLITE_READONLY_DIRECTORY, StoreReadOnlyError),
            (sqlite3.SQLITE_READONLY_DBMOVED, StoreMissingError),
            (sqlite3.SQLITE_PERM, StoreReadOnlyError),
            (sqlite3.SQLITE_AUTH, StoreReadOnlyError),
            (sqlite3.SQLITE_IOERR_FSYNC, StoreInputOutputError),
            (sqlite3.SQLITE_CORRUPT, StoreDamagedError),
            (sqlite3.SQLITE_CORRUPT_INDEX, StoreDamagedError),
            (sqlite3.SQLITE_NOTADB, StoreDamagedError),
            (sqlite3.SQLITE_ERROR, StoreDamagedError),
            (sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, StoreDamagedError),
            (sqlite3.SQLITE_CANTOPEN, UnavailableError),
            (sqlite3.SQLITE_NOMEM, UnavailableError),
            (sqlite3.SQLITE_INTERRUPT, UnavailableError),
        ],
    )
    def test_each_code_has_its_error(self, tmp_path: Path, code: int, kind: type) -> None:
        """Extended codes fall back to their primary code."""
        error = sqlite3.OperationalError("words of SQLite")
        error.sqlite_errorcode = code  # type: ignore[misc]
        path = tmp_path / "events.db"
        path.touch()
        with pytest.raises(UnavailableError, match="words of SQLite") as caught, translate.translated(path):
            raise error
        assert type(caught.value) is kind

    def test_every_code_of_the_table_is_tried_above(self) -> None:
        """A row that nobody tests is a guess."""
        marks = self.test_each_code_has_its_error.pytestmark  # type: ignore[attr-defined]
        assert set(translate.BY_CODE) <= {code | code & 0xFF for code, _ in marks[0].args[1]} | {
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_CONSTRAINT,
        }

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (FileNotFoundError(2, "No such file or directory"), StoreMissingError),
            (NotADirectoryError(20, "Not a directory"), StoreMissingError),
            (PermissionError(13, "Permission denied"), StoreReadOnlyError),
            (OSError(24, "Too many open files"), UnavailableError),
            (MemoryError(), UnavailableError),
        ],
    )
    def test_the_systems_errors_too(self, tmp_path: Path, error: Exception, kind: type) -> None:
        """What fails beside SQLite is about the same file."""
        with pytest.raises(UnavailableError) as caught, translate.translated(tmp_path / "events.db"):
            raise error
        assert type(caught.value) is kind

    def test_a_disk_error_on_a_full_disk_is_a_full_disk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SQLite reports a shared-memory file that cannot grow as an I/O error."""
        room = os.statvfs(tmp_path)
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=0, f_frsize=room.f_frsize))
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE  # type: ignore[misc]
        with pytest.raises(StoreFullError, match="free some space"), translate.translated(tmp_path / "x.db"):
            raise error

    def test_a_file_system_without_shared_memory(self, tmp_path: Path) -> None:
        """SQLite keeps another journal mode then, and says so quietly; readers would be locked out."""
        memory = engine.make_engine(tmp_path / "x.db", "mode=memory", timeout_s=1)
        with memory.connect() as connection, pytest.raises(sqlite3.OperationalError, match="local file sys"):
            engine.use_wal(connection)

    def test_a_missing_directory_is_said_at_the_start(self, tmp_path: Path) -> None:
        """Not "unable to open database file"."""
        with pytest.raises(StoreMissingError, match="No such file"):
            open_store(tmp_path / "nowhere" / "events.db")


@contextmanager
def small_tmpfs(directory: Path) -> Iterator[Path]:
    """Mount a file system of 512 KiB."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


def fill(file: Path) -> None:
    """Write until the file system is full."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 4096)


def commit_until_full(store: SqliteStore) -> int:
    """Append to the stream "s" until the disk refuses; return the version that the store then tells."""
    with suppress(StoreFullError):
        for number in range(1, 2000):
            store.commit([add("s", number, "x" * 1000, durable=number % 2 == 0)])
        pytest.fail("the disk never filled")
    version = store.heads()["s"]
    assert version == number
    return version
