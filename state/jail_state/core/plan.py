"""What the host is still owed: the next step of a task, from its snapshot alone."""

from __future__ import annotations

from typing import Final

from jail_state.core.lifecycle import State
from jail_state.core.steps import Phase, Progress, Step, StepKind
from jail_state.core.task import Task

_NEEDS_JAIL: Final = frozenset({"exec.prestop", "exec.stop"})
_NEEDS_PHASE: Final = {"exec.poststop": Phase.PRESTART, "exec.release": Phase.PREPARE}
_SETTLED: Final = frozenset({Progress.DONE, Progress.FAILED, Progress.UNKNOWN, Progress.ABANDONED})


def plan(task: Task) -> Step | None:
    """Return the next step that the host is owed, or None if there is nothing to do now.

    While a step is in flight there is no next one: its outcome decides.
    """
    if task.in_flight is not None:
        return None
    if task.state in (State.PRESTART, State.RUNNING):
        return _next_up(task)
    if task.state is State.PRESTOP:
        return next((step for step in task.plan.teardown if _due(task, step)), None)
    if task.state is State.STOPPED and task.leftovers:
        return task.step(task.leftovers[0])
    return None


def finished(task: Task) -> bool:
    """Whether a teardown has nothing left to do."""
    return task.state is State.PRESTOP and task.in_flight is None and plan(task) is None


def _next_up(task: Task) -> Step | None:
    for step in task.plan.steps:
        progress = task.progress(step.key)
        if progress is Progress.DONE:
            continue
        return step if progress is None else None
    return None


def _due(task: Task, step: Step) -> bool:
    return task.progress(step.key) not in _SETTLED and owed(task, step)


def owed(task: Task, step: Step) -> bool:
    """Whether a teardown step is owed at all, given how far the start had come.

    exec.prestop and exec.stop run only if the jail exists; exec.poststop and exec.release run if
    exec.prestart and exec.prepare began, so that a ``jib destroy`` follows a failed start. Force skips
    prestop, stop and grace, never poststop and release.
    """
    if step.kind is StepKind.HOOK:
        hook = str(step.args["hook"])
        if hook in _NEEDS_JAIL:
            return not task.forced and task.jid is not None and not task.jail_lost
        return _reached(task, _NEEDS_PHASE[hook])
    if step.kind is StepKind.FILES_REMOVE:
        return True
    if step.kind is StepKind.MAIN_STOP and task.forced:
        return False
    if step.kind is StepKind.RULES_REMOVE:
        return task.begun(StepKind.RULE)
    return step.undoes in task.records


def _reached(task: Task, phase: Phase) -> bool:
    return any(step.phase >= phase and step.key in task.records for step in task.plan.steps)
