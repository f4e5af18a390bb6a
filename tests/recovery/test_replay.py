"""Recorded event logs, replayed to the state that they tell: today's program reads yesterday's histories."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from jail_state.core.lifecycle import State, Trigger
from jail_state.core.task import Task, replay
from jail_state.dump import events_json
from jail_state.store import log
from jail_state.store.codec import Codec

LOGS = sorted(Path(__file__).with_name("logs").glob("*.jsonl"))
ENDS: dict[str, tuple[Trigger, int, int]] = {
    "exit": (Trigger.EXIT, 7, 0),
    "vnet": (Trigger.EXIT, 7, 0),
    "resumed": (Trigger.EXIT, 7, 0),
    "stop": (Trigger.STOP, 9, 0),
    "reattached": (Trigger.STOP, 9, 0),
    "killed-in-teardown": (Trigger.STOP, 9, 0),
}
"""How the tasks of some logs ended: trigger, exit code, signal."""
UNFINISHED = {"failed-hook": Trigger.FAIL, "given-up": Trigger.LOST}
"""Logs of tasks whose main never ran."""


def task_of(path: Path) -> Task:
    """Return the only task of a log."""
    [history] = log.load(Codec(), path.read_text().splitlines(), path.name).values()
    return replay(history)


def run(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``jail-task-driver replay``."""
    command: Sequence[str] = [sys.executable, "-m", "jail_driver", "replay", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, input=stdin, timeout=30)


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_recorded_log_replays_to_its_end(path: Path) -> None:
    """Stopped, nothing in flight, nothing left over; how it ended is what was recorded."""
    task = task_of(path)
    assert (task.state, task.in_flight, task.leftovers) == (State.STOPPED, None, ())
    if path.stem in ENDS:
        assert task.exit is not None
        assert (task.trigger, task.exit.exit_code, task.exit.signal) == ENDS[path.stem]
    if path.stem in UNFINISHED:
        assert (task.trigger, task.started_at_ns) == (UNFINISHED[path.stem], None)


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_log_is_written_as_it_was_read(path: Path) -> None:
    """Nothing of an old event is lost on the way through the program."""
    histories = log.load(Codec(), path.read_text().splitlines(), path.name)
    written = [json.loads(line) for line in events_json(histories).splitlines()]
    recorded = [json.loads(line) for line in path.read_text().splitlines()]
    keys = ("stream", "seq", "at_ns", "name")
    assert [[one[key] for key in keys] for one in written] == [[one[key] for key in keys] for one in recorded]


def test_an_unknown_status_is_told_as_unknown() -> None:
    """The log of a task whose supervisor was killed."""
    exited = task_of(LOGS[0].with_name("supervisor-killed.jsonl")).exit
    assert exited is not None
    assert exited.exit_code != 0
    assert exited.unknown_because


class TestCommand:
    """``jail-task-driver replay``."""

    def test_shows_the_task_at_its_end_and_before(self) -> None:
        """The whole log, and the log up to an event."""
        path = str(LOGS[0].with_name("exit.jsonl"))
        assert "stopped" in run(path).stdout
        early = json.loads(run(path, "--json", "--until", "5").stdout)
        assert [task["state"] for task in early["tasks"]] == ["prestart"]

    def test_reads_standard_input(self) -> None:
        """What state-dump printed on another machine comes through a pipe."""
        text = LOGS[0].with_name("stop.jsonl").read_text()
        done = run("-", "--events", stdin=text)
        assert done.returncode == 0, done.stderr
        assert "main-exited" in done.stdout

    def test_refuses_a_newer_log(self, tmp_path: Path) -> None:
        """It is never guessed at."""
        line = json.loads(LOGS[0].read_text().splitlines()[0])
        newer = tmp_path / "newer.jsonl"
        newer.write_text(json.dumps(line | {"schema_version": 99}))
        done = run(str(newer))
        assert done.returncode == 1
        assert "newer" in done.stderr

    def test_says_what_is_wrong_with_a_log(self, tmp_path: Path) -> None:
        """Damaged, missing, or without the task that was asked for."""
        damaged = tmp_path / "damaged.jsonl"
        damaged.write_text("{}\n")
        assert "schema_version" in run(str(damaged)).stderr
        assert run(str(tmp_path / "none")).returncode == 1
        assert "no such task" in run(str(LOGS[0]), "--task", "nobody").stderr
