"""A task as its events tell it: ``evolve`` folds one fact, ``replay`` a stream.

``evolve`` is total over the facts that ``decide`` can produce: it never asks the host, never guesses, and
an event that cannot follow is a damaged stream, said so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from jail_state.core import events as ev
from jail_state.core.errors import CorruptStreamError
from jail_state.core.ids import JailName, ProcessIdentity, TaskId
from jail_state.core.lifecycle import State, Trigger, successor
from jail_state.core.steps import Progress, Step, StepKind, StepRecord


@dataclass(frozen=True, slots=True)
class Task:
    """A snapshot. Times are UTC in nanoseconds; None means "not yet"."""

    id: TaskId
    version: int
    """The seq of the last event folded: the expected version of the next append."""
    state: State
    plan: ev.TaskPlanned
    planned_at_ns: int
    records: Mapping[str, StepRecord] = field(default_factory=dict)
    boot_id: str = ""
    jid: int | None = None
    jail_lost: str = ""
    """Why the jail is gone behind our back; empty while it is not."""
    supervisor: ProcessIdentity | None = None
    main: ProcessIdentity | None = None
    exit: ev.MainExited | None = None
    trigger: Trigger | None = None
    """What ended the task."""
    reason: str = ""
    recoverable: bool = True
    stop: ev.StopRequested | None = None
    leftovers: tuple[str, ...] = ()
    started_at_ns: int | None = None
    teardown_since_ns: int | None = None
    """When the bounded part of the teardown began: after hooks and grace."""
    stopped_at_ns: int | None = None
    destroyed: bool = False

    @property
    def jail_name(self) -> JailName:
        """The jail's name, unique on the host."""
        return JailName(self.plan.jail_name)

    @property
    def in_flight(self) -> Step | None:
        """The step whose intent has no outcome yet, if any: at most one at a time."""
        for step in (*self.plan.steps, *self.plan.teardown):
            record = self.records.get(step.key)
            if record is not None and record.progress is Progress.STARTED:
                return step
        return None

    @property
    def forced(self) -> bool:
        """Whether somebody asked to skip hooks and grace."""
        return self.stop is not None and self.stop.force

    def step(self, key: str) -> Step:
        """Return the step of this key.

        Raises:
            KeyError: the plan has no such step.
        """
        for step in (*self.plan.steps, *self.plan.teardown):
            if step.key == key:
                return step
        raise KeyError(key)

    def progress(self, key: str) -> Progress | None:
        """Return how far a step is; None if it was never begun."""
        record = self.records.get(key)
        return None if record is None else record.progress

    def step_of(self, kind: StepKind) -> Step | None:
        """Return the only step of a kind, such as the jail's; None if the plan has none."""
        return next((step for step in self.plan.steps if step.kind is kind), None)

    def begun(self, kind: StepKind) -> bool:
        """Whether any step of this kind was ever begun."""
        return any(step.kind is kind and step.key in self.records for step in self.plan.steps)

    @property
    def ever_ran(self) -> bool:
        """Whether main may have run: its start was announced."""
        return self.begun(StepKind.MAIN)


_BOUNDED: Final = frozenset(StepKind) - {StepKind.HOOK, StepKind.MAIN_STOP}


def evolve(task: Task | None, recorded: ev.Recorded) -> Task:
    """Fold one recorded event into a task.

    Args:
        task: the snapshot before, None before the first event.
        recorded: the event with its place and time.

    Raises:
        CorruptStreamError: the event cannot follow.
        IllegalTransitionError: the lifecycle has no such edge from here.
    """
    event = recorded.event
    if task is None:
        if not isinstance(event, ev.TaskPlanned):
            raise CorruptStreamError(f"{recorded.stream}: the first event is {event.name}, not task-planned")
        return Task(
            id=recorded.stream,
            version=recorded.seq,
            state=State.PENDING,
            plan=event,
            planned_at_ns=recorded.at_ns,
            boot_id=event.boot_id,
        )
    if recorded.seq != task.version + 1:
        raise CorruptStreamError(f"{task.id}: event {recorded.seq} follows {task.version}")
    fold = _FOLDS.get(type(event))
    if fold is None:
        raise CorruptStreamError(f"{task.id}: {event.name} cannot follow another event")
    trigger = event.trigger if isinstance(event, ev.TeardownBegan) else ev.TRIGGER_OF.get(type(event))
    state = task.state if trigger is None else successor(task.state, trigger)
    return replace(fold(task, event, recorded.at_ns), version=recorded.seq, state=state)


def replay(recorded: Iterable[ev.Recorded]) -> Task:
    """Fold a whole stream.

    Raises:
        CorruptStreamError: the stream is empty or its events cannot follow one another.
    """
    task: Task | None = None
    for one in recorded:
        task = evolve(task, one)
    if task is None:
        raise CorruptStreamError("an empty stream tells nothing")
    return task


def _put(task: Task, key: str, record: StepRecord | None) -> dict[str, StepRecord]:
    records = {name: old for name, old in task.records.items() if name != key}
    if record is not None:
        records[key] = record
    return records


def _started(task: Task, event: ev.StepStarted, at_ns: int) -> Task:
    record = StepRecord(Progress.STARTED, before=event.before, started_at_ns=at_ns)
    since = task.teardown_since_ns
    step = task.step(event.step)
    if since is None and task.state is State.PRESTOP and step.kind in _BOUNDED:
        since = at_ns
    return replace(task, records=_put(task, event.step, record), teardown_since_ns=since)


def _ended(
    task: Task,
    key: str,
    progress: Progress,
    at_ns: int,
    *,
    error: str = "",
    result: Mapping[str, Any] | None = None,
) -> Task:
    old = task.records.get(key, StepRecord(progress))
    record = replace(old, progress=progress, error=error, result=result or {}, ended_at_ns=at_ns)
    return replace(task, records=_put(task, key, record))


def _succeeded(task: Task, event: ev.StepSucceeded, at_ns: int) -> Task:
    after = _ended(task, event.step, Progress.DONE, at_ns, result=event.result)
    after = replace(after, leftovers=tuple(name for name in task.leftovers if name != event.step))
    step = task.step(event.step)
    if step.kind is StepKind.JAIL:
        return replace(after, jid=int(event.result["jid"]))
    if step.kind is StepKind.SUPERVISOR:
        return replace(after, supervisor=identity_from(event.result))
    if step.kind is StepKind.MAIN:
        return replace(after, main=identity_from(event.result) if event.result.get("pid") else None)
    return after


def identity_from(result: Mapping[str, Any]) -> ProcessIdentity:
    """Read a process identity from a step's result."""
    return ProcessIdentity(int(result["pid"]), int(result["started_ticks"]), str(result["boot_id"]))


def _teardown_began(task: Task, event: ev.TeardownBegan, _at_ns: int) -> Task:
    return replace(task, trigger=event.trigger, reason=event.reason, recoverable=event.recoverable)


def _stop_requested(task: Task, event: ev.StopRequested, _at_ns: int) -> Task:
    if task.stop is None:
        return replace(task, stop=event)
    return replace(task, stop=replace(task.stop, force=task.stop.force or event.force))


def _jail_lost(task: Task, event: ev.JailLost, _at_ns: int) -> Task:
    return replace(task, jail_lost=event.reason, boot_id=event.boot_id or task.boot_id)


def _removed(task: Task, event: ev.TaskRemoved, at_ns: int) -> Task:
    return replace(task, leftovers=event.leftovers, stopped_at_ns=at_ns)


_Fold = Callable[[Task, Any, int], Task]

_FOLDS: Final = cast(
    "Mapping[type[ev.Event], _Fold]",
    {
        ev.PreparationBegan: lambda task, _event, _at: task,
        ev.TaskAbandoned: lambda task, event, at: replace(task, reason=event.reason, stopped_at_ns=at),
        ev.StepStarted: _started,
        ev.StepSucceeded: _succeeded,
        ev.StepFailed: lambda task, event, at: _ended(
            task, event.step, Progress.FAILED, at, error=event.error
        ),
        ev.StepDoubted: lambda task, event, at: _ended(
            task, event.step, Progress.UNKNOWN, at, error=event.reason
        ),
        ev.StepReset: lambda task, event, _at: replace(task, records=_put(task, event.step, None)),
        ev.StepAbandoned: lambda task, event, at: _ended(
            task, event.step, Progress.ABANDONED, at, error=event.reason
        ),
        ev.TaskStarted: lambda task, event, at: replace(task, main=event.main, started_at_ns=at),
        ev.MainExited: lambda task, event, _at: replace(task, exit=event),
        ev.StopRequested: _stop_requested,
        ev.TeardownBegan: _teardown_began,
        ev.JailLost: _jail_lost,
        ev.TaskRemoved: _removed,
        ev.TaskRecovered: lambda task, _event, _at: task,
        ev.SignalSent: lambda task, _event, _at: task,
        ev.NoticeGiven: lambda task, _event, _at: task,
        ev.TaskDestroyed: lambda task, _event, _at: replace(task, destroyed=True),
    },
)
