"""The way down: its order, and what of it is owed after how much of a start."""

from __future__ import annotations

import pytest

from core_builders import DOWN, UP, done, follow, planned, running, task_of, up_to
from jail_state.core import events as ev
from jail_state.core.lifecycle import State, Trigger
from jail_state.core.plan import finished, plan
from jail_state.core.steps import Phase, StepKind
from jail_state.core.task import Task


def way_down(task: Task) -> list[str]:
    """Return the keys of the teardown steps in the order in which the plan asks for them."""
    keys = []
    while (step := plan(task)) is not None:
        keys.append(step.key)
        task = follow(task, *done(step))
    assert finished(task)
    return keys


def test_the_whole_way_down_has_the_order_of_the_design() -> None:
    """Hooks, grace, kill, interfaces, jail, poststop, mounts in reverse, addresses, release, rules, files."""
    task = follow(running(), ev.TeardownBegan(Trigger.EXIT, "main exited"))
    assert way_down(task) == [
        "exec.prestop[0]",
        "exec.stop[0]",
        "main-stop",
        "processes-kill",
        "supervisor-end",
        "interface-back interface e0b_x",
        "jail-remove",
        "jail-gone",
        "exec.poststop[0]",
        "unmount mount /dev",
        "mount-point-remove mount-point /dev",
        "unmount mount /",
        "address-remove address em1|192.0.2.7",
        "exec.release[0]",
        "rules-remove",
        "files-remove",
    ]


@pytest.mark.parametrize("step", UP, ids=lambda step: step.key)
def test_a_failed_step_is_undone_with_all_before_it_and_nothing_after(step: object) -> None:
    """Whatever was begun is unmade, whatever was not is left alone."""
    key = step.key  # type: ignore[attr-defined]
    failing = follow(up_to(key), ev.StepStarted(key), ev.StepFailed(key, "refused"))
    task = follow(failing, ev.TeardownBegan(Trigger.FAIL, "refused"))
    begun = {one.key for one in UP[: [one.key for one in UP].index(key) + 1]}
    keys = way_down(task)
    undone = {one.undoes for one in DOWN if one.key in keys and one.undoes}
    assert undone == {one.undoes for one in DOWN if one.undoes in begun and one.kind is not StepKind.HOOK}
    assert ("exec.release[0]" in keys) is (step.phase >= Phase.PREPARE)  # type: ignore[attr-defined]
    assert ("exec.poststop[0]" in keys) is (step.phase >= Phase.PRESTART)  # type: ignore[attr-defined]
    assert ("exec.stop[0]" in keys) is ("jail" in begun and key != "jail")


def test_force_skips_hooks_and_grace_but_never_poststop_and_release() -> None:
    """A skipped ``jib destroy`` would leak the epair: Nomad forces after every failed recovery."""
    stop = ev.StopRequested("Nomad", "SIGTERM", 5, force=True)
    keys = way_down(follow(running(), stop, ev.TeardownBegan(Trigger.STOP, "stopped by Nomad")))
    assert {"exec.prestop[0]", "exec.stop[0]", "main-stop"}.isdisjoint(keys)
    assert {"processes-kill", "exec.poststop[0]", "exec.release[0]"} <= set(keys)


def test_force_during_the_teardown_skips_what_is_still_owed_of_them() -> None:
    """A destroy that joins a teardown shortens it from where it is."""
    task = follow(running(), ev.TeardownBegan(Trigger.EXIT, "main exited"))
    task = follow(task, *done(task.step("exec.prestop[0]")))
    task = follow(task, ev.StopRequested("Nomad", "SIGTERM", 5, force=True))
    assert way_down(task)[0] == "processes-kill"


def test_a_jail_that_is_gone_gets_no_hook_that_needs_it() -> None:
    """After a reboot only poststop and release run."""
    task = follow(
        running(), ev.JailLost("the host rebooted", "boot-2"), ev.TeardownBegan(Trigger.LOST, "reboot")
    )
    hooks = [key for key in way_down(task) if key.startswith("exec.")]
    assert hooks == ["exec.poststop[0]", "exec.release[0]"]


def test_nothing_is_planned_while_a_step_is_in_flight() -> None:
    """One effect at a time: after a crash at most one is in doubt."""
    task = follow(up_to("jail"), ev.StepStarted("jail"))
    assert task.in_flight is not None
    assert plan(task) is None


def test_a_task_that_was_only_planned_owes_nothing() -> None:
    """Nothing was made, so abandoning it is one event."""
    task = follow(task_of(planned()), ev.TaskAbandoned("stopped"))
    assert task.state is State.STOPPED
    assert plan(task) is None


def test_leftovers_stay_owed_after_stopped_until_they_are_gone() -> None:
    """WaitTask answers at the deadline, and the clean-up goes on."""
    task = follow(running(), ev.TeardownBegan(Trigger.EXIT, "main exited"))
    while (step := plan(task)) is not None:
        if step.key == "unmount mount /":
            task = follow(task, ev.StepStarted(step.key), ev.StepAbandoned(step.key, "busy"))
        else:
            task = follow(task, *done(step))
    task = follow(task, ev.TaskRemoved(("unmount mount /",)))
    assert task.state is State.STOPPED
    step = plan(task)
    assert step is not None
    assert step.key == "unmount mount /"
    task = follow(task, ev.StepSucceeded("unmount mount /"))
    assert task.leftovers == ()
    assert plan(task) is None
