"""Looking without touching: with the plugin up, down, or killed."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from jail_state.store import files, queries
from jail_state.store.errors import (
    StoreDamagedError,
    StoreForeignError,
    StoreLockedError,
    StoreMissingError,
    StoreTooNewError,
    StoreTooOldError,
)
from jail_state.store.readonly import ReadOnlyStore
from jail_state.store.sqlite import SqliteStore, open_store
from store.samples import add
from store.test_sqlite import CHILD, raw


def picture(directory: Path) -> dict[str, object]:
    """Picture all files with their times; of the shared index only that it is there."""
    return {
        file.name: "there" if file.name.endswith("-shm") else (file.read_bytes(), file.stat().st_mtime_ns)
        for file in directory.iterdir()
    }


@contextmanager
def untouched(path: Path) -> Iterator[ReadOnlyStore]:
    """Give a reader, and check afterwards that nothing in the directory changed."""
    before = picture(path.parent)
    yield ReadOnlyStore(path, busy_timeout_s=0.2)
    assert picture(path.parent) == before


@pytest.fixture
def killed(path: Path) -> Path:
    """A database whose plugin was killed: its last events are in the log alone."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert files.log_of(path).stat().st_size > 0
    return path


class TestReading:
    """The same answers as the writer's, in each of the cases."""

    def test_beside_a_writer(self, sqlite: SqliteStore) -> None:
        """Including what is in the log only, and with all five questions."""
        sqlite.commit([add("s", 0, "a", "b"), add("t", 0, "c", closes=True, at_ns=7)])
        with untouched(sqlite.path) as reader:
            assert reader.read("s") == sqlite.read("s")
            assert reader.read("s", 1) == sqlite.read("s", 1)
            assert reader.live() == sqlite.live()
            assert reader.every() == sqlite.every()
            assert reader.heads() == sqlite.heads()
            assert reader.closed() == sqlite.closed() == {"t": 7}
        assert sqlite.commit([add("s", 2, "still writable")]) == [None]
        assert len(ReadOnlyStore(sqlite.path).read("s")) == 3

    def test_beside_a_writer_that_has_not_written(self, path: Path) -> None:
        """Its log is there and empty."""
        open_store(path).close()
        with closing(open_store(path)), untouched(path) as reader:
            assert reader.heads() == {}

    def test_while_a_writer_holds_the_lock(self, sqlite: SqliteStore) -> None:
        """A reader never waits for a writer."""
        sqlite.commit([add("s", 0, "a")])
        with raw(sqlite.path) as outsider:
            outsider.execute("BEGIN IMMEDIATE")
            assert ReadOnlyStore(sqlite.path, busy_timeout_s=0).heads() == {"s": 1}

    def test_after_a_clean_end(self, path: Path) -> None:
        """One file, no companions; none is made."""
        with closing(open_store(path)) as store:
            store.commit([add("s", 0, "a")])
            expected = store.every()
        with untouched(path) as reader:
            assert reader.every() == expected

    def test_after_a_kill(self, killed: Path) -> None:
        """The log is read in place, and not folded in."""
        with untouched(killed) as reader:
            assert reader.heads() == {"s": 1}
        with closing(open_store(killed)) as store:
            assert store.heads() == {"s": 1}

    def test_a_copy_without_the_index(self, killed: Path, tmp_path: Path) -> None:
        """An operator's copy of database and log; the index would have to be made."""
        copy = tmp_path / "copy"
        copy.mkdir()
        shutil.copy(killed, copy)
        shutil.copy(files.log_of(killed), copy)
        with untouched(copy / killed.name) as reader:
            assert reader.heads() == {"s": 1}

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a read-only view")
    @pytest.mark.parametrize("live", [True, False])
    def test_on_a_read_only_file_system(self, killed: Path, tmp_path: Path, live: bool) -> None:  # noqa: FBT001
        """A snapshot of a file system, taken while the plugin was up or after it ended."""
        if not live:
            open_store(killed).close()
        view = tmp_path / "view"
        view.mkdir()
        subprocess.run(["mount", "--bind", killed.parent, view], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", view], check=True)
            with untouched(view / killed.name) as reader:
                assert reader.heads() == {"s": 1}
        finally:
            subprocess.run(["umount", view], check=True)

    def test_a_plugin_that_comes_and_goes(self, path: Path) -> None:
        """Each answer is one consistent state, whichever of the cases it meets."""
        with closing(open_store(path)) as store:
            store.commit([add("a", 0, "0"), add("b", 0, "0")])
        stop = threading.Event()

        def restart() -> None:
            version = 1
            while not stop.is_set():
                with closing(open_store(path)) as store:
                    for _ in range(3):
                        text = "x" * 300
                        store.commit([add("a", version, text), add("b", version, text)])
                        version += 1

        writer = threading.Thread(target=restart)
        writer.start()
        try:
            reader = ReadOnlyStore(path)
            seen = [reader.every() for _ in range(60)]
        finally:
            stop.set()
            writer.join()
        lengths = [(len(history["a"]), len(history["b"])) for history in seen]
        assert all(one == other for one, other in lengths)
        assert lengths == sorted(lengths)
        assert lengths[-1] > lengths[0]


class TestChangesMeanwhile:
    """A file that is read alone, without locks, and changes: the answer is thrown away, and so is an error."""

    @pytest.mark.parametrize("torn", [False, True])
    def test_the_question_is_asked_again(self, path: Path, torn: bool) -> None:  # noqa: FBT001
        """A torn read may look like damage; only what stood still counts."""
        with closing(open_store(path)) as store:
            store.commit([add("s", 0, "a")])
        reader = ReadOnlyStore(path)
        answers: list[int] = []

        def question(connection: Connection) -> int:
            answers.append(queries.heads(connection)["s"].version)
            if len(answers) == 1:
                with closing(open_store(path)) as plugin:
                    plugin.commit([add("s", 1, "b" * 5000)])
                if torn:
                    raise StoreDamagedError(str(path), "torn")
            return answers[-1]

        assert reader._ask(question) == 2
        assert answers == [1, 2]

    def test_a_file_that_never_stands_still(self, path: Path) -> None:
        """Given up with a reason, not for ever."""
        open_store(path).close()

        def question(_: Connection) -> None:
            os.utime(path)

        with pytest.raises(StoreLockedError, match="kept changing"):
            ReadOnlyStore(path)._ask(question)

    def test_an_index_without_a_log(self, path: Path) -> None:
        """What a crash in the middle of a clean end leaves: no log is made for it."""
        with closing(open_store(path)) as store:
            store.commit([add("s", 0, "a")])
        files.index_of(path).write_bytes(bytes(32768))
        with untouched(path) as reader:
            assert reader.heads() == {"s": 1}


class TestRefusals:
    """Reasons that a person can act on, and still nothing touched."""

    def test_nothing_was_ever_stored(self, path: Path) -> None:
        """No file, an empty file, or no directory."""
        with untouched(path) as reader, pytest.raises(StoreMissingError, match="nothing was ever stored"):
            reader.every()
        path.touch()
        with untouched(path) as reader, pytest.raises(StoreMissingError, match="nothing was ever stored"):
            reader.every()
        with pytest.raises(StoreMissingError, match="No such file or directory"):
            ReadOnlyStore(path.parent / "nowhere" / "events.db").every()

    def test_a_file_of_noise(self, path: Path) -> None:
        """Damage is said at once, not after ten attempts."""
        path.write_bytes(b"noise" * 1000)
        with untouched(path) as reader, pytest.raises(StoreDamagedError, match="NOTADB"):
            reader.every()

    @pytest.mark.parametrize(
        ("sql", "kind"),
        [
            ("UPDATE alembic_version SET version_num = '0999'", StoreTooNewError),
            ("UPDATE events SET version = 9", StoreTooNewError),
            ("UPDATE events SET data = 'x'", StoreDamagedError),
            ("DROP TABLE alembic_version", StoreForeignError),
        ],
    )
    def test_what_it_cannot_read(self, path: Path, sql: str, kind: type) -> None:
        """Newer, damaged or foreign."""
        with closing(open_store(path)) as store:
            store.commit([add("s", 0, "a")])
        with raw(path) as outsider:
            outsider.execute(sql)
        with untouched(path) as reader, pytest.raises(kind):
            reader.every()

    def test_an_older_schema(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A reader may not migrate: it says who does."""
        open_store(path).close()
        monkeypatch.setattr("jail_state.store.migrate.REVISION", "0002")
        with untouched(path) as reader, pytest.raises(StoreTooOldError, match="start the plugin once"):
            reader.every()
