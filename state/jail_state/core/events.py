"""The facts of a task's life: one frozen dataclass each, past tense, units in the names.

An event is stored as (stream, seq, stable name, version, time, JSON). The name never changes, a changed
meaning takes a new version and an upcaster (``jail_state.store.codec``). No event holds a secret: not the
environment, not a hook's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from jail_state.core.ids import ProcessIdentity, TaskId
from jail_state.core.lifecycle import Trigger
from jail_state.core.steps import Step


@dataclass(frozen=True, slots=True)
class Event:
    """The root of all events."""

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event at its place in a stream; ``at_ns`` is UTC, nanoseconds since the epoch."""

    stream: TaskId
    seq: int
    at_ns: int
    event: Event


@dataclass(frozen=True, slots=True)
class TaskPlanned(Event):
    """The wish, whole: what will be made, and how it will be unmade."""

    name: ClassVar[str] = "task-planned"

    alloc_id: str
    task_name: str
    job_id: str
    namespace: str
    jail_name: str
    directory: str
    """The task's directory under the state directory."""
    alloc_dir: str
    steps: tuple[Step, ...]
    teardown: tuple[Step, ...]
    boot_id: str
    stop_signal: str
    """The signal of a stop that Nomad did not ask for, such as "SIGTERM"."""
    stop_timeout_s: float
    persist: bool = False
    ip: str = ""
    """The task's own address, if it has one."""
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PreparationBegan(Event):
    """The wish is on disk; host work begins (``prepare``)."""

    name: ClassVar[str] = "preparation-began"


@dataclass(frozen=True, slots=True)
class TaskAbandoned(Event):
    """Given up before anything was made (``abandon``)."""

    name: ClassVar[str] = "task-abandoned"

    reason: str


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """The intent: what is about to be done, with what was seen of the host just before."""

    name: ClassVar[str] = "step-started"

    step: str
    before: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepSucceeded(Event):
    """The outcome of an intent."""

    name: ClassVar[str] = "step-succeeded"

    step: str
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepFailed(Event):
    """The host refused, or a hook failed."""

    name: ClassVar[str] = "step-failed"

    step: str
    error: str
    recoverable: bool = True
    """Whether trying the whole start again can help."""


@dataclass(frozen=True, slots=True)
class StepDoubted(Event):
    """A crash left the intent without an outcome, and the host cannot tell: never run again."""

    name: ClassVar[str] = "step-doubted"

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepReset(Event):
    """A crash left the intent without an outcome, and the host shows that it was not done."""

    name: ClassVar[str] = "step-reset"

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepAbandoned(Event):
    """A teardown step that did not succeed by the deadline: a named leftover, still being tried."""

    name: ClassVar[str] = "step-abandoned"

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class TaskStarted(Event):
    """Main is alive (``run``), or a persistent task without one is up."""

    name: ClassVar[str] = "task-started"

    main: ProcessIdentity | None


@dataclass(frozen=True, slots=True)
class MainExited(Event):
    """How main ended. The status is a fact or it is said to be unknown; it is never guessed."""

    name: ClassVar[str] = "main-exited"

    exit_code: int
    signal: int = 0
    oom_killed: bool = False
    ended_at_ns: int = 0
    unknown_because: str = ""


@dataclass(frozen=True, slots=True)
class StopRequested(Event):
    """Somebody wants the task gone; in prestop it joins the teardown that is under way."""

    name: ClassVar[str] = "stop-requested"

    by: str
    signal: str
    timeout_s: float
    force: bool = False


@dataclass(frozen=True, slots=True)
class TeardownBegan(Event):
    """The way down, for whatever reason (``fail``, ``stop``, ``exit``, ``lost``)."""

    name: ClassVar[str] = "teardown-began"

    trigger: Trigger
    reason: str
    recoverable: bool = True


@dataclass(frozen=True, slots=True)
class JailLost(Event):
    """The jail is gone behind our back: removed from outside, or the host rebooted."""

    name: ClassVar[str] = "jail-lost"

    reason: str
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class TaskRemoved(Event):
    """Everything made has been unmade, but for the leftovers (``remove``)."""

    name: ClassVar[str] = "task-removed"

    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskRecovered(Event):
    """A new plugin took the task over, or Nomad asked for it again."""

    name: ClassVar[str] = "task-recovered"

    how: str


@dataclass(frozen=True, slots=True)
class SignalSent(Event):
    """Nomad asked for a signal, and main got it."""

    name: ClassVar[str] = "signal-sent"

    signal: str


@dataclass(frozen=True, slots=True)
class NoticeGiven(Event):
    """Something the operator should know: a deprecated key, an adopted orphan, a limit hit."""

    name: ClassVar[str] = "notice-given"

    text: str


@dataclass(frozen=True, slots=True)
class TaskDestroyed(Event):
    """Nomad is done with the task; retention may purge its stream."""

    name: ClassVar[str] = "task-destroyed"


EVENT_TYPES: dict[str, type[Event]] = {
    event.name: event
    for event in (
        TaskPlanned,
        PreparationBegan,
        TaskAbandoned,
        StepStarted,
        StepSucceeded,
        StepFailed,
        StepDoubted,
        StepReset,
        StepAbandoned,
        TaskStarted,
        MainExited,
        StopRequested,
        TeardownBegan,
        JailLost,
        TaskRemoved,
        TaskRecovered,
        SignalSent,
        NoticeGiven,
        TaskDestroyed,
    )
}

TRIGGER_OF: dict[type[Event], Trigger] = {
    PreparationBegan: Trigger.PREPARE,
    TaskAbandoned: Trigger.ABANDON,
    TaskStarted: Trigger.RUN,
    TaskRemoved: Trigger.REMOVE,
}
"""Events that move a task; TeardownBegan carries its own trigger."""
