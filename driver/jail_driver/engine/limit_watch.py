"""Notices that a task is at a limit that the kernel enforces in silence. Pure.

A rule that denies or throttles tells nobody outside (those that signal do: ``evidence``); the counters that
are read for TaskStats anyway show it. Told once when a limit is reached, and again only after usage fell well below it and some time
has passed: a task that lives at its limit is no news.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jail_driver.config.rules import amount_of
from jail_state.core.steps import Step, StepKind

_NEAR = 0.98
"""Whoever is refused a megabyte stays below the limit by that megabyte."""
_BELOW = 0.8
_QUIET_S = 60.0
_SILENT = frozenset({"deny", "throttle"})


@dataclass(slots=True)
class _Limit:
    resource: str
    action: str
    text: str
    amount: int
    is_armed: bool = True
    told_at_s: float = float("-inf")


class LimitWatch:
    """The limits of one task.

    Args:
        steps: of its plan; rules per process or per user are not the jail's counters to judge.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self._limits = [
            _Limit(
                str(step.args["resource"]),
                str(step.args["action"]),
                str(step.args["amount"]),
                amount_of(str(step.args["amount"])),
            )
            for step in steps
            if step.kind is StepKind.RULE
            and step.args.get("per") in {None, "", "jail"}
            and step.args["action"] in _SILENT
        ]

    def look(self, counters: Mapping[str, int], at_s: float) -> tuple[str, ...]:
        """Return the sentences that this look is worth.

        Args:
            counters: RACCT's, now.
            at_s: when, on a clock that never jumps.
        """
        told = []
        for limit in self._limits:
            used = counters.get(limit.resource, 0)
            if used < limit.amount * _BELOW:
                limit.is_armed = True
            elif limit.is_armed and used >= limit.amount * _NEAR and at_s - limit.told_at_s >= _QUIET_S:
                limit.is_armed = False
                limit.told_at_s = at_s
                told.append(
                    f"limit reached: {limit.resource} is {used} of {limit.amount}"
                    f" ({limit.resource}:{limit.action}={limit.text})"
                )
        return tuple(told)
