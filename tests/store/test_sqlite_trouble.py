"""A database that is full, lost, or answers with an error: each is named, and heals."""

import os
import sqlite3
import subprocess
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
    UnavailableError,
)
from jail_state.store.sqlite import SqliteStore, open_store
from store.samples import add, setting


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
