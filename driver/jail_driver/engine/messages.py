"""Events of the journal as the sentences that ``nomad alloc status`` shows. Pure."""

from __future__ import annotations

from jail_driver.model import DriverTaskEvent
from jail_state.core import events as ev
from jail_state.core.decide import exit_sentence
from jail_state.core.lifecycle import State, Trigger
from jail_state.core.steps import StepKind
from jail_state.core.task import Task

REATTACHED = "reattached"
"""How a recovery begins that a new plugin made; that Nomad asks for the task then is no news."""
FENCED = "a newer start of the same task"
"""Who asks for the end of an older start."""


def message_of(task: Task, event: ev.Event) -> str | None:  # noqa: C901, PLR0911  # one case an event worth telling
    """Return the sentence for an event, None for those that only the journal needs.

    Nomad keeps the last ten events of a task, so this is sparing.
    """
    match event:
        case ev.StepSucceeded(step=key) if task.step(key).kind is StepKind.JAIL:
            where = f", address {task.plan.ip}" if task.plan.ip else ""
            return f"jail {task.jid} ({task.plan.jail_name}) created{where}"
        case ev.StepFailed(step=key, error=error) if task.step(key).kind is StepKind.HOOK:
            return error
        case ev.StepDoubted(step=key, reason=reason):
            return f"{key}: outcome unknown: {reason}"
        case ev.StepAbandoned(step=key, reason=reason):
            return f"left over after the teardown deadline, still being tried: {key}: {reason}"
        case ev.TeardownBegan(trigger=Trigger.LOST, reason=reason):
            return f"task lost: {reason}"
        case ev.MainExited(oom_killed=True):
            return exit_sentence(event)
        case ev.StopRequested(by=by) if by == FENCED:
            return f"fenced: {by} ends this one first"
        case ev.TaskRemoved(leftovers=leftovers):
            # Said only now: until main is reaped the kernel may still tell what a killed supervisor did not.
            unknown = "; exit status unknown" if task.exit is not None and task.exit.unknown_because else ""
            left = f"; left over and still being tried: {', '.join(leftovers)}" if leftovers else ""
            return f"torn down ({task.reason}){unknown}{left}"
        case ev.TaskRecovered(how=how) if task.state is not State.RUNNING or how.startswith(REATTACHED):
            return f"recovered: {how}"
        case ev.NoticeGiven(text=text):
            return text
        case _:
            return None


def driver_event(task: Task, recorded: ev.Recorded) -> DriverTaskEvent | None:
    """Return what Nomad is told about a recorded event, if anything."""
    message = message_of(task, recorded.event)
    if message is None:
        return None
    annotations = {"seq": str(recorded.seq), "event": recorded.event.name, "state": str(task.state)}
    for name, value in {"jail": task.plan.jail_name, "jid": task.jid, "address": task.plan.ip}.items():
        if value:
            annotations[name] = str(value)
    return DriverTaskEvent(
        task_id=task.id,
        task_name=task.plan.task_name,
        alloc_id=task.plan.alloc_id,
        timestamp_ns=recorded.at_ns,
        message=message,
        annotations=annotations,
    )
