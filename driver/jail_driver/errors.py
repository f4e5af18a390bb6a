"""Everything that can go wrong, said once: fields first, prose made from them."""

from __future__ import annotations


class DriverError(Exception):
    """The root of the driver's own errors. ``str(error)`` is one readable sentence for the operator."""


class ConfigError(DriverError):
    """A configuration that cannot work, whatever the host does: not recoverable.

    Args:
        problems: one sentence each: key, value, reason and remedy.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class HostError(DriverError):
    """The host refused or failed: Nomad's restart policy may try again.

    Args:
        what: what was being done, for example ``mount /alloc``.
        why: the host's own words.
    """

    def __init__(self, what: str, why: str) -> None:
        self.what = what
        self.why = why
        super().__init__(f"{what}: {why}")


class StartError(DriverError):
    """StartTask failed after everything it made was unmade.

    Args:
        reason: one sentence.
        recoverable: whether Nomad's restart policy may try again.
    """

    def __init__(self, reason: str, *, recoverable: bool) -> None:
        self.recoverable = recoverable
        super().__init__(reason)


class UnknownTaskError(DriverError):
    """No event stream of this task id."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"no task {task_id!r} in this driver's state directory")


class HandleError(DriverError):
    """A handle that Nomad hands back and this driver cannot have made; the text says why."""


class UnavailableError(DriverError):
    """The driver cannot serve now (database, state directory, another plugin); the reason is the text."""


class UnsupportedError(DriverError):
    """An RPC that this driver does not offer; the text says what to use instead."""


def reason(error: Exception) -> str:
    """Return what an error says of itself: the system's words where there are some, without number and path."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
