"""What can go wrong between the plugin and a supervisor (the plugin's side)."""

from __future__ import annotations

from jail_driver.errors import DriverError


class SupervisorError(DriverError):
    """A supervisor cannot be had, or refused a request; the text is one sentence."""


class SupervisorLostError(SupervisorError):
    """The supervisor or its helper died before it answered.

    Whether an order was carried out must be read from the records then: ``records.read_identity`` names a
    main that was, or was about to be, executed.
    """


class SupervisorStartError(SupervisorError):
    """The order failed: a command of it, or something that it needs. Main does not run.

    Args:
        sentence: for people.
        step: index of the failed command, setup commands first, then main; None if it was none of them.
        reason: ``exec``, ``exit``, ``timeout``, ``log``, ``record`` or ``order``.
        exit_code: the command's, None if it did not exit by itself.
        signal: number of the signal that killed it, 0 if none did.
    """

    def __init__(
        self, sentence: str, step: int | None, reason: str, exit_code: int | None = None, signal: int = 0
    ) -> None:
        self.step = step
        self.reason = reason
        self.exit_code = exit_code
        self.signal = signal
        super().__init__(sentence)


class RecordError(SupervisorError):
    """A record is damaged, or from a newer version than ours."""
