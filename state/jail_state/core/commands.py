"""What can be asked of a task, as data: wishes from Nomad, outcomes from the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jail_state.core.events import MainExited


@dataclass(frozen=True, slots=True)
class Begin:
    """The wish is on disk: host work may begin."""


@dataclass(frozen=True, slots=True)
class Intend:
    """A step is about to be performed; ``before`` is what the host showed."""

    step: str
    before: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conclude:
    """A step was done."""

    step: str
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fail:
    """A step failed; ``recoverable`` says whether a whole new start can help."""

    step: str
    error: str
    recoverable: bool = True


@dataclass(frozen=True, slots=True)
class Doubt:
    """A step's outcome cannot be known."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reset:
    """The host shows that a step was not done (or is gone): it may be done again."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """A teardown step passed the deadline."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordExit:
    """Main ended."""

    exited: MainExited


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody wants the task gone. ``signal`` such as "SIGTERM"; the time-out counts from the signal."""

    by: str
    signal: str
    timeout_s: float
    force: bool = False


@dataclass(frozen=True, slots=True)
class Lose:
    """Jail or supervisor are gone behind our back.

    Args:
        reason: for people.
        jail: whether the jail itself is gone (then prestop and stop hooks have nowhere to run).
        boot_id: the new boot, if the host rebooted.
        exited: main's status if it is known all the same.
    """

    reason: str
    jail: bool = True
    boot_id: str = ""
    exited: MainExited | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The teardown has nothing left to do."""


@dataclass(frozen=True, slots=True)
class Destroy:
    """Nomad is done with the task."""


Command = (
    Begin | Intend | Conclude | Fail | Doubt | Reset | Abandon | RecordExit | Stop | Lose | Finish | Destroy
)
