"""Which facts follow from a wish or an outcome: ``decide(task, command) -> events``.

Nothing here is performed. The engine appends what is decided first, and acts on the host after.
"""

from __future__ import annotations

from typing import assert_never

from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.errors import IllegalStepError
from jail_state.core.ids import ProcessIdentity
from jail_state.core.lifecycle import State, Trigger, validate
from jail_state.core.plan import finished
from jail_state.core.steps import Progress, StepKind
from jail_state.core.task import Task, identity_from

Events = tuple[ev.Event, ...]


def decide(  # noqa: C901, PLR0911  # one case a command, and mypy proves that none is missing
    task: Task, command: cmd.Command
) -> Events:
    """Return the events that follow from a command; none if it changes nothing.

    Raises:
        IllegalTransitionError: the lifecycle has no such edge from here.
        IllegalStepError: the step's own history forbids it.
    """
    match command:
        case cmd.Begin():
            validate(task.state, Trigger.PREPARE)
            return (ev.PreparationBegan(),)
        case cmd.Intend():
            return _intend(task, command)
        case cmd.Conclude():
            return _conclude(task, command)
        case cmd.Fail():
            return _fail(task, command)
        case cmd.Doubt():
            return _doubt(task, command)
        case cmd.Reset():
            _require(task, command.step, Progress.STARTED, Progress.DONE)
            return (ev.StepReset(command.step, command.reason),)
        case cmd.Abandon():
            return (ev.StepAbandoned(command.step, command.reason),)
        case cmd.RecordExit():
            return _record_exit(task, command)
        case cmd.Stop():
            return _stop(task, command)
        case cmd.Lose():
            return _lose(task, command)
        case cmd.Finish():
            return _finish(task)
        case cmd.Destroy():
            return () if task.destroyed or task.state is not State.STOPPED else (ev.TaskDestroyed(),)
    assert_never(command)


def _require(task: Task, key: str, *allowed: Progress | None) -> None:
    progress = task.progress(key)
    if progress not in allowed:
        raise IllegalStepError(key, f"is {progress or 'not begun'}")


def _intend(task: Task, command: cmd.Intend) -> Events:
    _require(task, command.step, None)
    if task.in_flight is not None:
        raise IllegalStepError(command.step, f"cannot begin while {task.in_flight.key} is in flight")
    return (ev.StepStarted(command.step, command.before),)


def _conclude(task: Task, command: cmd.Conclude) -> Events:
    # A leftover is tried without a new intent each time: its first one still stands.
    _require(task, command.step, Progress.STARTED, Progress.ABANDONED)
    done = ev.StepSucceeded(command.step, command.result)
    if task.step(command.step).kind is StepKind.MAIN and task.state is State.PRESTART:
        validate(task.state, Trigger.RUN)
        main: ProcessIdentity | None = identity_from(command.result) if command.result.get("pid") else None
        return (done, ev.TaskStarted(main))
    return (done,)


def _goes_up(task: Task, key: str) -> bool:
    return any(step.key == key for step in task.plan.steps)


def _teardown(task: Task, trigger: Trigger, reason: str, *, recoverable: bool = True) -> Events:
    validate(task.state, trigger)
    return (ev.TeardownBegan(trigger, reason, recoverable),)


def _fail(task: Task, command: cmd.Fail) -> Events:
    _require(task, command.step, Progress.STARTED)
    failed = ev.StepFailed(command.step, command.error, command.recoverable)
    if _goes_up(task, command.step) and task.state in (State.PRESTART, State.RUNNING):
        return (failed, *_teardown(task, Trigger.FAIL, command.error, recoverable=command.recoverable))
    return (failed,)


def _doubt(task: Task, command: cmd.Doubt) -> Events:
    _require(task, command.step, Progress.STARTED)
    doubted = ev.StepDoubted(command.step, command.reason)
    if _goes_up(task, command.step) and task.state in (State.PRESTART, State.RUNNING):
        return (doubted, *_teardown(task, Trigger.FAIL, f"{command.step}: {command.reason}"))
    return (doubted,)


def exit_sentence(exited: ev.MainExited) -> str:
    """Return how main ended, for people."""
    if exited.unknown_because:
        return f"exit status unknown: {exited.unknown_because}"
    if exited.oom_killed:
        return f"main was killed at its memory limit (signal {exited.signal})"
    if exited.signal:
        return f"main was killed by signal {exited.signal}"
    return f"main exited with status {exited.exit_code}"


def _record_exit(task: Task, command: cmd.RecordExit) -> Events:
    known = task.exit is not None and not task.exit.unknown_because
    exited: Events = () if known else (command.exited,)
    if task.state in (State.PRESTART, State.RUNNING):
        return (*exited, *_teardown(task, Trigger.EXIT, exit_sentence(command.exited)))
    return exited


def _stop(task: Task, command: cmd.Stop) -> Events:
    asked = ev.StopRequested(command.by, command.signal, command.timeout_s, command.force)
    if task.state is State.STOPPED:
        return ()
    if task.state is State.PENDING:
        validate(task.state, Trigger.ABANDON)
        return (ev.TaskAbandoned(f"stopped by {command.by} before anything was made"),)
    if task.state is State.PRESTOP:
        joins = task.stop is None or (command.force and not task.stop.force)
        return (asked,) if joins else ()
    return (asked, *_teardown(task, Trigger.STOP, f"stopped by {command.by}"))


def _lose(task: Task, command: cmd.Lose) -> Events:
    events: list[ev.Event] = []
    if command.jail and not task.jail_lost and task.begun(StepKind.JAIL):
        events.append(ev.JailLost(command.reason, command.boot_id))
    if (task.ever_ran or command.exited is not None) and task.exit is None:
        events.append(command.exited or ev.MainExited(-1, unknown_because=command.reason))
    if task.state in (State.PRESTART, State.RUNNING):
        events.extend(_teardown(task, Trigger.LOST, command.reason))
    return tuple(events)


def _finish(task: Task) -> Events:
    if not finished(task):
        raise IllegalStepError("task-removed", "the teardown still owes something")
    validate(task.state, Trigger.REMOVE)
    left = tuple(step.key for step in task.plan.teardown if task.progress(step.key) is Progress.ABANDONED)
    return (ev.TaskRemoved(left),)
