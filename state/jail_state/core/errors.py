"""What the core refuses: one tree, fields first."""

from __future__ import annotations


class CoreError(Exception):
    """The root of the core's errors."""


class IllegalTransitionError(CoreError):
    """A trigger that the table does not know in this state; the state is untouched.

    Args:
        state: the ``State`` the task is in.
        trigger: the ``Trigger`` that was refused.
    """

    def __init__(self, state: str, trigger: str) -> None:
        self.state = state
        self.trigger = trigger
        super().__init__(f"a task that is {state} does not take {trigger!s}")


class IllegalStepError(CoreError):
    """A step event that contradicts the step's own history.

    Args:
        step: the key of the step.
        what: what was attempted.
    """

    def __init__(self, step: str, what: str) -> None:
        self.step = step
        self.what = what
        super().__init__(f"step {step}: {what}")


class CorruptStreamError(CoreError):
    """A stream whose events cannot follow one another."""
