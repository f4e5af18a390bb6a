"""Decisions: which facts follow from which wish, in which state."""

from __future__ import annotations

import pytest

from core_builders import follow, planned, running, task_of, up_to
from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.decide import decide
from jail_state.core.errors import CorruptStreamError, IllegalStepError, IllegalTransitionError
from jail_state.core.ids import jail_name
from jail_state.core.lifecycle import State, Trigger
from jail_state.core.plan import plan
from jail_state.core.task import evolve

SEVEN = ev.MainExited(7)


def test_main_moves_a_task_to_running_before_its_poststart_hooks() -> None:
    """Running is stored as soon as main is alive: a crash in a poststart hook finds a running task."""
    task = follow(up_to("main"), ev.StepStarted("main"))
    events = decide(task, cmd.Conclude("main", {"pid": 1, "started_ticks": 2, "boot_id": "b"}))
    assert [type(event) for event in events] == [ev.StepSucceeded, ev.TaskStarted]
    task = follow(task, *events)
    assert task.state is State.RUNNING
    step = plan(task)
    assert step is not None
    assert step.key == "exec.poststart[0]"


def test_a_failed_up_step_begins_the_teardown_with_its_own_words() -> None:
    """The reason that Nomad shows is the host's."""
    task = follow(up_to("jail"), ev.StepStarted("jail"))
    events = decide(task, cmd.Fail("jail", "jail: no such path", recoverable=False))
    assert events == (
        ev.StepFailed("jail", "jail: no such path", recoverable=False),
        ev.TeardownBegan(Trigger.FAIL, "jail: no such path", recoverable=False),
    )


def test_a_failed_down_hook_is_recorded_and_teardown_goes_on() -> None:
    """A broken exec.prestop must not keep a jail alive."""
    task = follow(running(), ev.TeardownBegan(Trigger.STOP, "stop"), ev.StepStarted("exec.prestop[0]"))
    events = decide(task, cmd.Fail("exec.prestop[0]", "failed with status 3"))
    assert events == (ev.StepFailed("exec.prestop[0]", "failed with status 3"),)
    step = plan(follow(task, *events))
    assert step is not None
    assert step.key == "exec.stop[0]"


def test_the_exit_of_main_ends_the_task_and_keeps_its_status() -> None:
    """7 is 7, whatever happens after."""
    task = follow(running(), *decide(running(), cmd.RecordExit(SEVEN)))
    assert task.state is State.PRESTOP
    assert task.exit == SEVEN
    assert task.trigger is Trigger.EXIT


def test_an_exit_is_recorded_once() -> None:
    """The watcher and the teardown may both bring the same record."""
    task = follow(running(), *decide(running(), cmd.RecordExit(SEVEN)))
    assert decide(task, cmd.RecordExit(SEVEN)) == ()


def test_a_known_status_replaces_an_unknown_one_never_the_other_way() -> None:
    """What is known late is still true; what is unknown never overwrites it."""
    lost = follow(running(), *decide(running(), cmd.Lose("gone", jail=False)))
    assert lost.exit is not None
    assert lost.exit.unknown_because == "gone"
    assert decide(lost, cmd.RecordExit(SEVEN)) == (SEVEN,)
    known = follow(running(), *decide(running(), cmd.RecordExit(SEVEN)))
    assert decide(known, cmd.Lose("gone", jail=False)) == ()


def test_a_stop_during_the_teardown_joins_it() -> None:
    """A second stop changes nothing; force does."""
    task = follow(running(), *decide(running(), cmd.Stop("Nomad", "SIGINT", 9)))
    assert task.state is State.PRESTOP
    assert decide(task, cmd.Stop("Nomad", "SIGTERM", 5)) == ()
    forced = follow(task, *decide(task, cmd.Stop("Nomad", "SIGTERM", 5, force=True)))
    assert forced.forced
    assert forced.stop is not None
    assert (forced.stop.signal, forced.stop.timeout_s) == ("SIGINT", 9)


def test_a_stop_before_anything_was_made_abandons_the_task() -> None:
    """Pending goes straight to stopped."""
    task = task_of(planned())
    task = follow(task, *decide(task, cmd.Stop("Nomad", "SIGTERM", 5)))
    assert task.state is State.STOPPED


def test_steps_keep_their_history() -> None:
    """An outcome needs an intent, and nothing is done twice."""
    task = up_to("jail")
    with pytest.raises(IllegalStepError, match="jail: is not begun"):
        decide(task, cmd.Conclude("jail", {"jid": 1}))
    with pytest.raises(IllegalStepError, match=r"exec.prestart\[0\]: is done"):
        decide(task, cmd.Intend("exec.prestart[0]"))
    flying = follow(task, ev.StepStarted("jail"))
    with pytest.raises(IllegalStepError, match="while jail is in flight"):
        decide(flying, cmd.Intend("supervisor"))


def test_a_task_is_not_finished_while_something_is_owed() -> None:
    """``stopped`` means unmade."""
    task = follow(running(), ev.TeardownBegan(Trigger.EXIT, "main exited"))
    with pytest.raises(IllegalStepError):
        decide(task, cmd.Finish())


def test_an_impossible_wish_leaves_the_task_as_it_is() -> None:
    """The error carries state and trigger."""
    task = running()
    with pytest.raises(IllegalTransitionError, match="a task that is running does not take prepare"):
        decide(task, cmd.Begin())
    assert task == running()


def test_a_stream_with_a_hole_is_damaged_and_said_so() -> None:
    """Replay never guesses over a gap."""
    with pytest.raises(CorruptStreamError, match="event 9 follows 1"):
        evolve(task_of(planned()), ev.Recorded(task_of(planned()).id, 9, 0, ev.PreparationBegan()))
    with pytest.raises(CorruptStreamError, match="the first event is preparation-began"):
        task_of(ev.PreparationBegan())
    with pytest.raises(CorruptStreamError, match="task-planned cannot follow"):
        follow(task_of(planned()), planned())


@pytest.mark.parametrize(
    ("task_name", "slug"),
    [
        ("web", "web"),
        ("7", "t-7"),
        ("a.b:c d", "a-b-c-d"),
        ("ü", "task"),
        ("x" * 90, "x" * 47),
        ("-", "task"),
    ],
)
def test_jail_names_are_safe_for_jail_and_rctl(task_name: str, slug: str) -> None:
    """No dot (a hierarchy), no colon (rctl's separator), never only digits (a jid), at most 64 characters."""
    name = jail_name("alloc/task/1", task_name)
    assert name.rpartition("-")[0] == slug
    assert len(name) <= 64
