"""The life of a task, declared once.

    pending -> prestart -> running -> prestop -> stopped

One table on ``transitions``; ``decide`` validates with the machine, ``evolve`` and replay read the dict
made from it (the machine costs about 10 microseconds a step). The machine has no callbacks: it swallows
errors raised in some of them, and a callback would let memory run ahead of the disk.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from transitions import Machine, MachineError

from jail_state.core.errors import IllegalTransitionError


class State(StrEnum):
    """Where a task is in its life."""

    PENDING = "pending"
    PRESTART = "prestart"
    RUNNING = "running"
    PRESTOP = "prestop"
    STOPPED = "stopped"


class Trigger(StrEnum):
    """What moves a task."""

    PREPARE = "prepare"
    ABANDON = "abandon"
    RUN = "run"
    FAIL = "fail"
    STOP = "stop"
    EXIT = "exit"
    LOST = "lost"
    REMOVE = "remove"


TABLE: Final = (
    # trigger, from, to
    (Trigger.PREPARE, State.PENDING, State.PRESTART),
    (Trigger.ABANDON, State.PENDING, State.STOPPED),
    (Trigger.RUN, State.PRESTART, State.RUNNING),
    (Trigger.FAIL, State.PRESTART, State.PRESTOP),
    (Trigger.STOP, State.PRESTART, State.PRESTOP),
    (Trigger.EXIT, State.PRESTART, State.PRESTOP),
    (Trigger.LOST, State.PRESTART, State.PRESTOP),
    (Trigger.EXIT, State.RUNNING, State.PRESTOP),
    (Trigger.STOP, State.RUNNING, State.PRESTOP),
    (Trigger.FAIL, State.RUNNING, State.PRESTOP),
    (Trigger.LOST, State.RUNNING, State.PRESTOP),
    (Trigger.REMOVE, State.PRESTOP, State.STOPPED),
)

MACHINE: Final = Machine(
    model=None,
    states=[state.value for state in State],
    transitions=[[trigger.value, source.value, target.value] for trigger, source, target in TABLE],
    initial=State.PENDING.value,
    auto_transitions=False,
)


def _table_of(machine: Machine) -> dict[tuple[State, Trigger], State]:
    return {
        (State(source), Trigger(name)): State(str(transition.dest))
        for name, event in machine.events.items()
        for source, candidates in event.transitions.items()
        for transition in candidates
    }


SUCCESSOR: Final = _table_of(MACHINE)


class _Cursor:
    """A throw-away model: the machine moves it, nothing else sees it."""

    def __init__(self, state: State) -> None:
        self.state = state.value


def validate(state: State, trigger: Trigger) -> State:
    """Ask the machine for the state that follows.

    Raises:
        IllegalTransitionError: the table has no such edge.
    """
    cursor = _Cursor(state)
    try:
        MACHINE.events[trigger.value].trigger(cursor)
    except MachineError as error:
        raise IllegalTransitionError(state, trigger) from error
    return State(cursor.state)


def successor(state: State, trigger: Trigger) -> State:
    """Read the state that follows from the dict: the fast path of ``evolve`` and replay.

    Raises:
        IllegalTransitionError: the table has no such edge.
    """
    try:
        return SUCCESSOR[state, trigger]
    except KeyError:
        raise IllegalTransitionError(state, trigger) from None
