"""What a crash left behind, settled: ``reconcile(task, observation) -> events``.

Intent before effect, outcome after it: between the two at most one step is in doubt, and the host is
observed to settle it. Identity is fenced: what is observed has already been compared by jid, name and path,
by pid, start time and boot id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.decide import Events, decide
from jail_state.core.ids import ProcessIdentity
from jail_state.core.lifecycle import State
from jail_state.core.steps import Progress, StepKind
from jail_state.core.task import Task, evolve

_REBOOTED: Final = "the host rebooted"


class Seen(StrEnum):
    """What the host shows of the step that was in flight."""

    DONE = "done"
    NOT_DONE = "not-done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StepSeen:
    """The observation of one step; ``result`` as its handler would have returned it."""

    seen: Seen
    result: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of one task on the host, after its commands in flight had ended.

    Args:
        boot_id: of the running system.
        jail_present: a jail with our jid (or name, where the jid is not known) and our path.
        supervisor_alive: its lock is held.
        main: as the supervisor recorded it.
        exited: the supervisor's exit record.
        step: of the step in flight; None if there was none.
    """

    boot_id: str
    jail_present: bool
    supervisor_alive: bool
    main: ProcessIdentity | None = None
    exited: ev.MainExited | None = None
    step: StepSeen | None = None


def reconcile(task: Task, observation: Observation) -> Events:
    """Return the events that make the journal agree with the host. None if it already does."""
    events: list[ev.Event] = []

    def follow(more: Iterable[ev.Event]) -> None:
        nonlocal task
        for event in more:
            events.append(event)
            task = evolve(task, ev.Recorded(task.id, task.version + 1, 0, event))

    if task.state is State.STOPPED:
        return ()
    rebooted = observation.boot_id != task.boot_id
    if task.state is State.PENDING:
        return (ev.TaskAbandoned("the host rebooted before anything was made"),) if rebooted else ()
    follow(_settle(task, observation, rebooted=rebooted))
    if rebooted:
        follow(_reboot(task, observation))
    if observation.exited is not None:
        # Even if the journal does not know that main was ever started: a power cut may have taken its end.
        follow(decide(task, cmd.RecordExit(observation.exited)))
    follow(_check_running(task, observation))
    return tuple(events)


def _settle(task: Task, observation: Observation, *, rebooted: bool) -> Events:
    flight = task.in_flight
    if flight is None:
        return ()
    seen = observation.step or StepSeen(Seen.UNKNOWN, reason="nothing was observed of it")
    if rebooted and (flight in task.plan.steps or flight.kind is StepKind.HOOK):
        # What it made may be on the disk, so it stays owed: its undo looks again.
        return (ev.StepDoubted(flight.key, _REBOOTED),)
    if rebooted:
        return decide(task, cmd.Reset(flight.key, _REBOOTED))
    match seen.seen:
        case Seen.DONE:
            return decide(task, cmd.Conclude(flight.key, seen.result))
        case Seen.NOT_DONE:
            return decide(task, cmd.Reset(flight.key, seen.reason or "the host shows that it was not done"))
        case Seen.UNKNOWN:
            return decide(task, cmd.Doubt(flight.key, seen.reason))


def _reboot(task: Task, observation: Observation) -> Events:
    lost = ev.JailLost(_REBOOTED, observation.boot_id)
    return (lost, *decide(task, cmd.Lose(_REBOOTED, jail=False, exited=observation.exited)))


def _check_running(task: Task, observation: Observation) -> Events:
    """A jail or supervisor that should be there and is not."""
    if task.state not in (State.PRESTART, State.RUNNING):
        if (
            task.jid is not None
            and not task.jail_lost
            and not observation.jail_present
            and _jail_expected(task)
        ):
            return (ev.JailLost("the jail is gone"),)
        return ()
    jail = task.step_of(StepKind.JAIL)
    if jail is not None and task.progress(jail.key) is Progress.DONE and not observation.jail_present:
        return decide(task, cmd.Lose("the jail was removed from outside"))
    supervisor = task.step_of(StepKind.SUPERVISOR)
    if (
        supervisor is None
        or task.progress(supervisor.key) is not Progress.DONE
        or observation.supervisor_alive
    ):
        return ()
    if not task.ever_ran:
        # It had not been told to go: nothing ran, a new one can be made.
        return decide(task, cmd.Reset(supervisor.key, "its supervisor ended before it was told to go"))
    return decide(task, cmd.Lose("its supervisor is gone and left no exit record", jail=False))


def _jail_expected(task: Task) -> bool:
    """Whether the teardown has not itself removed the jail yet."""
    return task.progress(StepKind.JAIL_REMOVE.value) is None
