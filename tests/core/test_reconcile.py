"""Reconciling: what a crash left, settled by what the host shows."""

from __future__ import annotations

import pytest

from core_builders import UP, follow, planned, running, task_of, up_to
from jail_state.core import events as ev
from jail_state.core.lifecycle import State, Trigger
from jail_state.core.plan import owed, plan
from jail_state.core.reconcile import Observation, Seen, StepSeen, reconcile
from jail_state.core.steps import AT_MOST_ONCE, Step
from jail_state.core.task import Task

HERE = Observation("boot-1", jail_present=True, supervisor_alive=True)
GONE = Observation("boot-1", jail_present=False, supervisor_alive=False)
REBOOTED = Observation("boot-2", jail_present=False, supervisor_alive=False)


def settle(task: Task, seen: Observation) -> Task:
    """Return the task after reconciling, and check that doing it twice changes nothing more."""
    after = follow(task, *reconcile(task, seen))
    assert reconcile(after, Observation(seen.boot_id, seen.jail_present, seen.supervisor_alive)) == ()
    return after


def test_a_living_task_is_left_as_it_is() -> None:
    """A restart of the plugin is no event in a task's life."""
    assert reconcile(running(), HERE) == ()


def test_a_task_that_ended_while_nobody_looked_keeps_its_status() -> None:
    """It is reported with 7, and not run again."""
    seen = Observation("boot-1", jail_present=True, supervisor_alive=False, exited=ev.MainExited(7))
    task = settle(running(), seen)
    assert task.state is State.PRESTOP
    assert task.exit == ev.MainExited(7)
    assert task.trigger is Trigger.EXIT


def test_a_supervisor_without_a_record_leaves_an_unknown_status() -> None:
    """Never 0."""
    seen = Observation("boot-1", jail_present=True, supervisor_alive=False)
    task = follow(running(), *reconcile(running(), seen))
    assert task.state is State.PRESTOP
    assert task.trigger is Trigger.LOST
    assert task.exit is not None
    assert task.exit.exit_code != 0
    assert "left no exit record" in task.exit.unknown_because


def test_a_jail_that_somebody_removed_is_a_loss() -> None:
    """And the hooks that need it are not run."""
    task = settle(running(), GONE)
    assert task.trigger is Trigger.LOST
    assert task.jail_lost == "the jail was removed from outside"


def test_a_reboot_loses_the_task_and_keeps_a_status_that_was_written() -> None:
    """The record of a task that ended before the power went is still true."""
    seen = Observation("boot-2", jail_present=False, supervisor_alive=False, exited=ev.MainExited(7))
    task = follow(running(), *reconcile(running(), seen))
    assert task.boot_id == "boot-2"
    assert task.jail_lost == "the host rebooted"
    assert task.exit == ev.MainExited(7)
    lost = follow(running(), *reconcile(running(), REBOOTED))
    assert lost.exit is not None
    assert lost.exit.unknown_because == "the host rebooted"


@pytest.mark.parametrize("step", UP, ids=lambda step: step.key)
@pytest.mark.parametrize("seen", [HERE, GONE, REBOOTED], ids=["here", "gone", "rebooted"])
def test_a_step_in_doubt_that_may_run_but_once_is_never_run_again(step: Step, seen: Observation) -> None:
    """A hook or main with an unknown outcome fails the start; any other step is settled by the host."""
    task = follow(up_to(step.key), ev.StepStarted(step.key))
    after = follow(task, *reconcile(task, seen))
    assert after.in_flight is None
    if step.kind in AT_MOST_ONCE:
        assert after.state is State.PRESTOP
    planned = plan(after)
    assert planned is None or planned.key != step.key or step.kind not in AT_MOST_ONCE


def test_a_step_that_was_done_is_not_done_again() -> None:
    """The jail of the crashed plugin is adopted."""
    task = follow(up_to("jail"), ev.StepStarted("jail"))
    seen = Observation("boot-1", True, False, step=StepSeen(Seen.DONE, {"jid": 9}))
    after = settle(task, seen)
    assert after.jid == 9
    step = plan(after)
    assert step is not None
    assert step.key == "exec.created[0]"


def test_a_step_that_was_not_done_is_planned_again() -> None:
    """Intent without effect: the same step is next."""
    task = follow(up_to("jail"), ev.StepStarted("jail"))
    seen = Observation("boot-1", False, False, step=StepSeen(Seen.NOT_DONE))
    step = plan(settle(task, seen))
    assert step is not None
    assert step.key == "jail"


def test_a_supervisor_that_was_never_told_to_go_is_made_anew() -> None:
    """Its go channel ended with the plugin: it started nothing, so main may still be started, once."""
    seen = Observation("boot-1", jail_present=True, supervisor_alive=False)
    step = plan(settle(up_to("main"), seen))
    assert step is not None
    assert step.key == "supervisor"


def test_a_main_in_doubt_whose_supervisor_proves_that_it_started_nothing_is_started_once() -> None:
    """The supervisor removes its own files when it ends without having been told to go."""
    task = follow(up_to("main"), ev.StepStarted("main"))
    seen = Observation("boot-1", True, False, step=StepSeen(Seen.NOT_DONE))
    step = plan(settle(task, seen))
    assert step is not None
    assert step.key == "supervisor"


def test_a_reboot_before_anything_was_made_ends_the_task() -> None:
    """It is never begun under numbers of another boot."""
    task = follow(task_of(planned()), *reconcile(task_of(planned()), REBOOTED))
    assert task.state is State.STOPPED
    assert "rebooted" in task.reason


def test_a_reboot_keeps_the_undo_of_a_step_in_flight() -> None:
    """A mount point in somebody's Path survives the power cut that took its outcome."""
    task = follow(up_to("mount-point /dev"), ev.StepStarted("mount-point /dev", {"ours": True}))
    after = follow(task, *reconcile(task, REBOOTED))
    assert after.records["mount-point /dev"].before == {"ours": True}
    assert after.trigger is Trigger.LOST
    assert any(owed(after, step) for step in after.plan.teardown if step.undoes == "mount-point /dev")


def test_a_reboot_is_noted_even_if_the_jail_was_lost_before() -> None:
    """Else every later look at the host would take it for another reboot."""
    lost = follow(running(), *reconcile(running(), GONE))
    after = follow(lost, *reconcile(lost, REBOOTED))
    assert after.boot_id == "boot-2"
    assert reconcile(after, REBOOTED) == ()


def test_an_exit_record_is_believed_even_if_a_power_cut_took_the_start_from_the_journal() -> None:
    """The supervisor's record is on the disk before anything else; the journal's tail may not be."""
    task = up_to("jail")
    seen = Observation("boot-2", jail_present=False, supervisor_alive=False, exited=ev.MainExited(7))
    assert follow(task, *reconcile(task, seen)).exit == ev.MainExited(7)
