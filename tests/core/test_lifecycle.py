"""The lifecycle table: every state with every trigger, result and error."""

from __future__ import annotations

import itertools

import pytest

from jail_state.core.errors import IllegalTransitionError
from jail_state.core.lifecycle import SUCCESSOR, TABLE, State, Trigger, successor, validate

EXPECTED = {
    (State.PENDING, Trigger.PREPARE): State.PRESTART,
    (State.PENDING, Trigger.ABANDON): State.STOPPED,
    (State.PRESTART, Trigger.RUN): State.RUNNING,
    (State.PRESTART, Trigger.FAIL): State.PRESTOP,
    (State.PRESTART, Trigger.STOP): State.PRESTOP,
    (State.PRESTART, Trigger.EXIT): State.PRESTOP,
    (State.PRESTART, Trigger.LOST): State.PRESTOP,
    (State.RUNNING, Trigger.FAIL): State.PRESTOP,
    (State.RUNNING, Trigger.STOP): State.PRESTOP,
    (State.RUNNING, Trigger.EXIT): State.PRESTOP,
    (State.RUNNING, Trigger.LOST): State.PRESTOP,
    (State.PRESTOP, Trigger.REMOVE): State.STOPPED,
}


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(State, Trigger)))
def test_every_state_takes_just_the_triggers_of_the_design(state: State, trigger: Trigger) -> None:
    """The machine and the dict made from it agree with the design, in what they allow and what they refuse."""
    expected = EXPECTED.get((state, trigger))
    for move in (validate, successor):
        if expected is not None:
            assert move(state, trigger) is expected
            continue
        with pytest.raises(IllegalTransitionError) as refused:
            move(state, trigger)
        assert (refused.value.state, refused.value.trigger) == (state, trigger)


def test_the_dict_holds_the_whole_table() -> None:
    """The fast path cannot know an edge that the table lacks, or lack one that it has."""
    assert {(source, trigger): target for trigger, source, target in TABLE} == SUCCESSOR
