"""What an operator is shown: true to the events, whole for programs, harmless at a terminal."""

import json
from typing import Any

import pytest

from jail_state import dump
from jail_state.core import commands as cmd
from jail_state.core.events import MainExited, NoticeGiven, TaskDestroyed
from jail_state.core.lifecycle import State
from jail_state.core.task import replay
from jail_state.store import log
from jail_state.store.codec import Codec
from jail_state.store.errors import LogError
from store.lives import EPOCH_NS, SECOND_NS, UP, Life, broken


def document(life: Life) -> dict[str, Any]:
    """Render one task as JSON."""
    (task,) = json.loads(dump.tasks_json({life.id: life.history}))["tasks"]
    return dict(task)


def note(life: Life) -> str:
    """Read the note column of the only task."""
    header, row = dump.tasks_table({life.id: life.history}).splitlines()
    return row[header.index("NOTE") :]


class TestTable:
    """One row a task."""

    def test_each_stage_of_life(self) -> None:
        """The last change comes last; columns line up."""
        lives = [
            Life("aaaaaaaaaaaa/web/1", "web", 300).run(),
            Life("bbbbbbbbbbbb/batch/1", "batch", 200).run().end(7),
            Life("cccccccccccc/job-with-a-name/1", "job-with-a-name", 100).run().end(0, 9),
        ]
        assert dump.tasks_table({life.id: life.history for life in lives}) == (
            "ALLOC     TASK             STATE    JID  MAIN  EXIT      SINCE                     NOTE\n"
            "cccccccc  job-with-a-name  stopped  7    101   signal 9  2023-11-14T22:15:31.000Z  "
            "main was killed by signal 9\n"
            "bbbbbbbb  batch            stopped  7    101   7         2023-11-14T22:17:11.000Z  "
            "main exited with status 7\n"
            "aaaaaaaa  web              running  7    101   -         2023-11-14T22:18:32.000Z\n"
        )

    def test_no_tasks(self) -> None:
        """Said, not left blank."""
        assert dump.tasks_table({}) == "no tasks\n"
        assert dump.events_text({}) == "no tasks\n"

    def test_a_task_before_anything_was_made(self) -> None:
        """Planned, not begun."""
        life = Life()
        assert "pending  -    -     -" in dump.tasks_table({life.id: life.history})

    def test_the_step_in_flight_is_named(self) -> None:
        """What a killed plugin was doing."""
        life = Life()
        life.do(cmd.Begin())
        life.work(until="jail")
        assert note(life) == "doing: jail"

    def test_leftovers_are_named_with_their_reason(self) -> None:
        """And that Nomad is done with the task."""
        life = Life().run()
        life.do(cmd.RecordExit(MainExited(0)))
        life.work(until="unmount mount /alloc")
        life.do(cmd.Abandon("unmount mount /alloc", "Device busy"))
        life.work()
        life.do(cmd.Finish())
        life.record(TaskDestroyed())
        assert note(life) == (
            "main exited with status 0; left over: unmount mount /alloc (Device busy); destroyed"
        )
        assert document(life)["leftovers"] == ["unmount mount /alloc"]

    @pytest.mark.parametrize(
        ("exited", "text"),
        [
            (MainExited(0), "0"),
            (MainExited(137, oom_killed=True), "137 (out of memory)"),
            (MainExited(0, 11), "signal 11"),
            (MainExited(-1, unknown_because="lost"), "unknown"),
        ],
    )
    def test_how_main_ended(self, exited: MainExited, text: str) -> None:
        """An unknown status is said to be unknown, never 0."""
        life = Life().run()
        life.do(cmd.RecordExit(exited))
        header, row = dump.tasks_table({life.id: life.history}).splitlines()
        assert row[header.index("EXIT") : header.index("SINCE")].strip() == text

    def test_a_damaged_history_hides_no_other(self) -> None:
        """The row says what is wrong; the other task is shown as ever."""
        bad, good = Life("bad/x/1", "x").run(), Life("good/y/1", "y", 500).run()
        table = dump.tasks_table({bad.id: broken(bad), good.id: good.history})
        assert "bad    x     ?" in table
        assert "events that cannot follow one another: bad/x/1: task-planned cannot follow" in table
        assert "good   y     running" in table


class TestDocument:
    """The same for programs, whole."""

    def test_a_finished_task(self) -> None:
        """Times, states, jail, processes, exit, steps."""
        life = Life().run().end(7)
        found = document(life)
        assert found["id"] == life.id
        assert found["version"] == len(life.history)
        assert [one["state"] for one in found["states"]] == [
            "pending",
            "prestart",
            "running",
            "prestop",
            "stopped",
        ]
        assert found["states"][0]["at_ns"] == EPOCH_NS
        assert found["state"] == "stopped"
        assert found["jail"] == {"name": "web-0", "jid": 7, "lost": ""}
        assert found["main"] == {"pid": 101, "started_ticks": 2, "boot_id": "b"}
        assert (found["exit"]["exit_code"], found["exit"]["text"]) == (7, "main exited with status 7")
        assert found["ended_by"] == "exit"
        assert found["stopped_at_ns"] == life.history[-1].at_ns
        assert {step["key"]: step["progress"] for step in found["steps"]}["jail-remove"] == "done"
        assert [step["key"] for step in found["steps"]][: len(UP)] == [step.key for step in UP]

    def test_its_schema_has_a_number(self) -> None:
        """Programs can tell what they read."""
        assert json.loads(dump.tasks_json({})) == {"schema_version": 1, "tasks": []}

    def test_a_damaged_history(self) -> None:
        """State null and an error, beside what is known."""
        life = Life().run()
        (found,) = json.loads(dump.tasks_json({life.id: broken(life)}))["tasks"]
        assert found["state"] is None
        assert "cannot follow" in found["error"]


class TestHistory:
    """Event by event."""

    def test_a_line_an_event(self) -> None:
        """Time, number, state after it, name, and only the fields that say something."""
        life = Life().run()
        lines = dump.events_text({life.id: life.history}).splitlines()
        assert lines[0] == "0a1b2c3d-aaaa/web/12345678"
        assert lines[1].startswith(
            "2023-11-14T22:13:20.000Z     1  pending   task-planned       alloc_id=0a1b2c3d-"
        )
        assert "  steps=5 (exec.prestart[0], mount /alloc, jail, supervisor, main)  " in lines[1]
        assert lines[2] == "2023-11-14T22:13:21.000Z     2  prestart  preparation-began"
        assert (
            lines[3] == "2023-11-14T22:13:22.000Z     3  prestart  step-started       step=exec.prestart[0]"
        )
        assert lines[-1].endswith(
            'running   task-started       main={"pid": 101, "started_ticks": 2, "boot_id": "b"}'
        )
        assert len(lines) == len(life.history) + 1

    def test_a_damaged_history_is_shown_to_its_end(self) -> None:
        """With no state from the first event that cannot follow."""
        life = Life().run()
        lines = dump.events_text({life.id: broken(life)}).splitlines()
        assert [line[32:40].strip() for line in lines[-3:]] == ["running", "?", "?"]

    def test_text_of_a_job_cannot_command_the_terminal(self) -> None:
        """Escapes, newlines, direction marks and broken UTF-8 are shown, not sent."""
        hostile = 'a\x1b[2J\n"b\u202e\udc80\x9b c'
        life = Life("h/h/1", hostile)
        life.record(NoticeGiven(hostile))
        for text in (
            dump.tasks_table({life.id: life.history}),
            dump.events_text({life.id: life.history}),
        ):
            assert text.replace("\n", "").isprintable()
        assert r'text="a\x1b[2J\n\"b\u202e\udc80\x9b c"' in dump.events_text({life.id: life.history})

    def test_a_long_nested_value_is_cut_short_for_people_only(self) -> None:
        """Programs get all of it."""
        life = Life()
        life.do(cmd.Begin())
        life.do(cmd.Intend("exec.prestart[0]", {"seen": "x" * 500}))
        assert len(dump.events_text({life.id: life.history}).splitlines()[3]) < 250
        assert "x" * 500 in dump.events_json({life.id: life.history})

    def test_the_event_log_reads_back(self) -> None:
        """An export of two tasks, mixed up, gives the same histories and states."""
        lives = [Life("a/web/1").run().end(7), Life("b/web/1", start_s=3).run()]
        histories = {life.id: life.history for life in lives}
        text = dump.events_json(histories)
        lines = text.splitlines()
        assert log.load(Codec(), [*reversed(lines), "\n"], "log") == histories
        assert json.loads(lines[0])["schema_version"] == 1
        states = [(one["stream"], one["seq"], one["state"]) for one in map(json.loads, lines)]
        for stream, history in histories.items():
            for number in range(1, len(history) + 1):
                assert (stream, number, replay(history[:number]).state) in states


class TestChoice:
    """Which tasks, and when."""

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ("aaaa", ["aaaa1111/web/1"]),
            ("aaaa1111/web/1", ["aaaa1111/web/1"]),
            ("web", ["aaaa1111/web/1", "bbbb/web/2"]),
            ("we", []),
            ("", []),
        ],
    )
    def test_a_task_is_named_as_people_do(self, wanted: str, found: list[str]) -> None:
        """Id, its beginning, or the task's whole name."""
        lives = [Life("aaaa1111/web/1", "web"), Life("bbbb/web/2", "web"), Life("cccc/db/3", "db")]
        chosen = dump.select({life.id: life.history for life in lives}, wanted)
        assert list(chosen) == found

    def test_an_earlier_moment(self) -> None:
        """By number or time, both inclusive; a task that did not exist yet is not there."""
        early, late = Life("a/web/1").run(), Life("b/web/1", start_s=1000)
        histories = {early.id: early.history, late.id: late.history}
        at_third = dump.cut(histories, at_ns=EPOCH_NS + 2 * SECOND_NS)
        assert at_third == {early.id: early.history[:3]}
        assert dump.cut(histories, seq=3) == {early.id: early.history[:3], late.id: late.history}

    def test_states_with_their_times(self) -> None:
        """Each state once, at the event that brought it."""
        life = Life().run()
        assert dump.states(life.history) == (
            (State.PENDING, EPOCH_NS),
            (State.PRESTART, EPOCH_NS + SECOND_NS),
            (State.RUNNING, life.history[-1].at_ns),
        )

    def test_a_time_beyond_the_calendar(self) -> None:
        """A damaged time is still shown."""
        assert dump.time_text(10**30) == f"{10**30} ns"


class TestDamagedLog:
    """An exported log that was edited: the line is named."""

    LINE = json.dumps(
        {
            "schema_version": 1,
            "stream": "s",
            "seq": 1,
            "at_ns": 1,
            "name": "task-destroyed",
            "version": 1,
            "data": {},
        }
    )

    @pytest.mark.parametrize(
        ("text", "why", "newer"),
        [
            ("{", "log, line 2", False),
            ("[]", "no JSON object", False),
            ("{}", "schema_version is missing", False),
            (LINE.replace('"seq": 1', '"seq": "2"'), "seq is missing or no int", False),
            (LINE.replace('"data": {}', '"data": []'), "data is missing or no dict", False),
            (LINE.replace('"seq": 1', '"seq": 3'), "event 3 of stream 's' does not follow event 1", False),
            (LINE, "event 1 of stream 's' does not follow event 1", False),
            (LINE.replace('"schema_version": 1', '"schema_version": 2'), "line 2: schema version 2", True),
            (LINE.replace("task-destroyed", "task-cloned").replace('"seq": 1', '"seq": 2'), "not know", True),
        ],
    )
    def test_a_line_that_is_no_event(self, text: str, why: str, newer: bool) -> None:  # noqa: FBT001
        """Never skipped: half a history would replay to a false state."""
        with pytest.raises(LogError, match=why) as caught:
            log.load(Codec(), [self.LINE, text], "log")
        assert caught.value.newer is newer
