"""Which tasks, up to when, and the states that they came through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from jail_state.core.errors import CoreError
from jail_state.core.events import Recorded, TaskPlanned
from jail_state.core.lifecycle import State
from jail_state.core.task import Task, evolve
from jail_state.store.port import History

Histories: TypeAlias = Mapping[str, History]

UNSOUND: Final = (CoreError, KeyError, TypeError, ValueError)
"""What folding raises for events that cannot follow one another, or whose results lack a value."""


def select(histories: Histories, wanted: str) -> Histories:
    """Return the tasks that a person means: by id or the beginning of it, or by task name.

    Args:
        histories: all of them.
        wanted: a Nomad task id, an allocation id or the first digits of one, or a task's name.
    """
    return {
        stream: history
        for stream, history in histories.items()
        if history and wanted and (stream.startswith(wanted) or plan_of(history).task_name == wanted)
    }


def cut(histories: Histories, *, seq: int | None = None, at_ns: int | None = None) -> Histories:
    """Return the histories as they stood at an event's number or at a time (UTC, nanoseconds)."""
    then = {
        stream: tuple(
            one
            for one in history
            if (seq is None or one.seq <= seq) and (at_ns is None or one.at_ns <= at_ns)
        )
        for stream, history in histories.items()
    }
    return {stream: history for stream, history in then.items() if history}


def states(history: History) -> tuple[tuple[State, int], ...]:
    """Return each state that a task came to, with the time (UTC, nanoseconds)."""
    found: list[tuple[State, int]] = []
    for one, state in with_states(history):
        if state is not None and (not found or found[-1][0] is not state):
            found.append((state, one.at_ns))
    return tuple(found)


def with_states(history: History) -> Iterator[tuple[Recorded, State | None]]:
    """Yield each event with the state after it; None from the first that cannot follow."""
    task: Task | None = None
    sound = True
    for one in history:
        if sound:
            try:
                task = evolve(task, one)
            except UNSOUND:
                sound = False
        yield one, task.state if sound and task is not None else None


def by_time(histories: Histories) -> list[History]:
    """Return the histories, the one that changed last at the end."""
    return sorted((one for one in histories.values() if one), key=lambda one: (one[-1].at_ns, one[0].stream))


def plan_of(history: History) -> TaskPlanned:
    """Return the plan that a history begins with; an empty one for a damaged beginning."""
    first = history[0].event
    return first if isinstance(first, TaskPlanned) else _NO_PLAN


_NO_PLAN: Final = TaskPlanned("", "", "", "", "", "", "", (), (), "", "", 0)
