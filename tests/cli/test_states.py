"""A task's states, read while the plugin writes, and what people see of tasks and histories."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from core_builders import planned
from jail_driver.__main__ import main
from jail_driver.cli.states import StateReader, sentence
from jail_state.core import events as ev
from jail_state.core.lifecycle import Trigger
from jail_state.store.port import Append
from jail_state.store.sqlite import open_store

TASK = "alloc/web/1"
UP = (
    planned(steps=(), teardown=()),
    ev.PreparationBegan(),
    ev.TaskStarted(None),
)
DOWN = (
    ev.TeardownBegan(Trigger.STOP, "stopped by Nomad"),
    ev.TaskRemoved(("mount /data",)),
)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A state directory with one task that runs."""
    add(tmp_path, 0, *UP)
    return tmp_path


def add(state_dir: Path, version: int, *events: ev.Event) -> None:
    """Stores events as the plugin does."""
    with closing(open_store(state_dir / "events.db")) as store:
        assert store.commit([Append(TASK, version, events, 1_700_000_000_000_000_000)]) == [None]


class TestStates:
    """Each state once, in order, whenever one looks."""

    def test_what_is_new(self, state_dir: Path) -> None:
        """A second look shows what came since the first."""
        reader = StateReader(state_dir / "events.db", TASK)
        assert [sentence(seen) for seen in reader.new()] == [
            "pending",
            "prestart",
            "running: jail web-0123456789abcdef, jid None, no main process",
        ]
        assert reader.new() == []
        assert reader.living() == (TASK,)
        add(state_dir, len(UP), *DOWN)
        assert [sentence(seen) for seen in reader.new()] == [
            "prestop: stopped by Nomad",
            "stopped; left over: mount /data",
        ]
        assert reader.living() == ()

    def test_before_anything_is_stored(self, tmp_path: Path) -> None:
        """Nothing there is nothing new, and looking makes nothing."""
        assert StateReader(tmp_path / "events.db", TASK).new() == []
        assert list(tmp_path.iterdir()) == []


class TestDump:
    """``state-dump`` in its four forms."""

    def dump(self, state_dir: Path, capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
        """Runs the command; its status and what it printed."""
        status = main(["state-dump", "--state-dir", str(state_dir), *argv])
        return status, capsys.readouterr().out

    def test_forms(self, state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A table and a history for people, a document and an event log for programs."""
        assert "running" in self.dump(state_dir, capsys)[1]
        assert "preparation-began" in self.dump(state_dir, capsys, "--events")[1]
        [task] = json.loads(self.dump(state_dir, capsys, "--json")[1])["tasks"]
        assert (task["id"], task["state"]) == (TASK, "running")
        lines = self.dump(state_dir, capsys, "--json", "--events")[1].splitlines()
        assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3]

    @pytest.mark.parametrize("wanted", ["alloc", "web", TASK])
    def test_one_task(self, state_dir: Path, capsys: pytest.CaptureFixture[str], wanted: str) -> None:
        """A task is named by its allocation, its name or its id."""
        status, text = self.dump(state_dir, capsys, wanted)
        assert (status, "web" in text) == (0, True)

    def test_no_such_task(self, state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A name that fits nothing is an error, not an empty table."""
        assert self.dump(state_dir, capsys, "nothing") == (1, "")
