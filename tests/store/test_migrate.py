"""The schema: made once, under a lock, by migrations that lead to what the tables say."""

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from jail_state.store import engine, migrate, tables
from jail_state.store.errors import StoreForeignError, StoreLockedError, StoreTooNewError
from jail_state.store.sqlite import open_store
from store.samples import add

ROOT = Path(__file__).parents[2]


def schema(path: Path) -> dict[str, str]:
    """Read the SQL of each table and index, blanks squeezed."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return {name: " ".join(sql.split()) for name, sql in rows if name != "alembic_version"}


def contents(directory: Path) -> dict[str, bytes]:
    """Read every file but the lock."""
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.suffix != ".lock"}


class TestSchema:
    """One source of the schema, and migrations that reach it."""

    def test_the_migrations_lead_to_the_tables(self, path: Path, tmp_path: Path) -> None:
        """Down to WITHOUT ROWID, checks and partial indexes."""
        open_store(path).close()
        made = tmp_path / "made.db"
        declared = engine.make_engine(made, "mode=rwc", timeout_s=1)
        with declared.begin() as connection:
            tables.metadata.create_all(connection)
        assert schema(path) == schema(made)

    def test_alembic_finds_nothing_to_do(self, path: Path) -> None:
        """As ``alembic check`` would."""
        open_store(path).close()
        with engine.make_engine(path, "mode=ro", timeout_s=1).connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []

    def test_the_constants_are_those_of_the_last_migration(self, path: Path) -> None:
        """The fast path compares with them."""
        assert ScriptDirectory.from_config(migrate.config()).get_heads() == [tables.REVISION]
        open_store(path).close()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA application_id").fetchone() == (tables.APPLICATION_ID,)

    def test_alembics_own_command_works(self, tmp_path: Path) -> None:
        """A developer may upgrade and check a database by hand."""
        path = tmp_path / "by-hand.db"
        for command in (["upgrade", "head"], ["check"]):
            done = subprocess.run(
                [sys.executable, "-m", "alembic", "-x", f"db={path}", *command],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        with closing(open_store(path)) as store:
            assert store.commit([add("s", 0, "a")]) == [None]


class TestFirstUse:
    """Made at the first real use, by whoever comes first."""

    def test_many_at_once_make_one_database(self, path: Path) -> None:
        """Nobody fails, nobody's events are lost."""
        failures: list[BaseException] = []

        def use(number: int) -> None:
            try:
                with closing(open_store(path, busy_timeout_s=20)) as store:
                    assert store.commit([add(f"s{number}", 0, "a")]) == [None]
            except BaseException as error:  # noqa: BLE001  # told below
                failures.append(error)

        threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        with closing(open_store(path)) as store:
            assert len(store.heads()) == 6

    def test_a_migration_under_way_elsewhere_is_waited_for(self, path: Path) -> None:
        """And a lock that stays is an error with a reason, after the time."""
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(StoreLockedError, match="another process is migrating"):
                open_store(path, busy_timeout_s=0.1)
            assert not path.exists()
            threading.Timer(0.2, fcntl.flock, (lock, fcntl.LOCK_UN)).start()
            open_store(path, busy_timeout_s=10).close()
        finally:
            os.close(lock)

    def test_an_empty_file_is_a_new_database(self, path: Path) -> None:
        """A crash between making the file and the schema."""
        path.touch()
        with closing(open_store(path)) as store:
            assert store.heads() == {}

    def test_a_crash_in_the_migration_leaves_nothing_half(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All revisions are one transaction."""
        from alembic import command  # noqa: PLC0415

        upgrade = command.upgrade

        def crash(*arguments: object) -> None:
            upgrade(*arguments)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        monkeypatch.setattr(command, "upgrade", crash)
        with pytest.raises(KeyboardInterrupt):
            open_store(path)
        assert schema(path) == {}
        monkeypatch.undo()
        with closing(open_store(path)) as store:
            assert store.commit([add("s", 0, "a")]) == [None]

    def test_a_database_at_head_costs_no_alembic(self, path: Path) -> None:
        """Alembic's import is for the one time that it has something to do."""
        open_store(path).close()
        code = (
            "import sys, pathlib, jail_state.store.port, jail_state.store.writer, jail_state.store.memory\n"
            "assert 'sqlalchemy' not in sys.modules\n"
            "from jail_state.store.sqlite import open_store\n"
            "open_store(pathlib.Path(sys.argv[1])).close()\n"
            "assert 'sqlalchemy' in sys.modules\n"
            "assert 'alembic' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code, path], check=True)


class TestRefusals:
    """What is not ours, or not yet ours to read, is left exactly as it was."""

    @pytest.mark.parametrize("clean", [True, False])
    def test_a_newer_schema(self, path: Path, tmp_path: Path, clean: bool) -> None:  # noqa: FBT001
        """An old plugin on a newer database, closed cleanly or killed: refused, nothing changed."""
        home = path.parent
        with closing(open_store(path)) as store, closing(sqlite3.connect(path)) as newer:
            store.commit([add("s", 0, "a")])
            newer.execute("UPDATE alembic_version SET version_num = '0999'")
            newer.commit()
            killed = tmp_path / "killed"
            killed.mkdir()
            for name, data in contents(home).items():
                (killed / name).write_bytes(data)
        home = home if clean else killed
        before = contents(home)
        assert ("events.db-wal" in before) is not clean
        with pytest.raises(StoreTooNewError, match="schema is 0999, ours is 0001"):
            open_store(home / path.name)
        after = contents(home)
        after.pop("events.db-shm", None)
        before.pop("events.db-shm", None)
        assert after == before

    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE TABLE mail (text)",
            "CREATE TABLE alembic_version (version_num)",
            "PRAGMA application_id = 5",
        ],
    )
    def test_a_database_of_another_program(self, path: Path, sql: str) -> None:
        """Even one that uses Alembic."""
        with closing(sqlite3.connect(path)) as other:
            other.execute(sql)
        before = path.read_bytes()
        with pytest.raises(StoreForeignError, match="choose another state directory"):
            open_store(path)
        assert path.read_bytes() == before

    def test_a_swap_while_the_store_is_open(self, path: Path) -> None:
        """The check is made at each new connection, not only at the start."""
        with closing(open_store(path)) as store:
            store.commit([add("s", 0, "a")])
            store._drop()
            with closing(sqlite3.connect(path)) as newer:
                newer.execute("UPDATE alembic_version SET version_num = '0999'")
                newer.commit()
            with pytest.raises(StoreTooNewError):
                store.commit([add("s", 1, "b")])
