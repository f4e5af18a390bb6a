"""What the host refused, in kinds that a caller can act on."""

from __future__ import annotations

from jail_driver.errors import HostError


class BusyError(HostError):
    """Something still uses it (EBUSY, or an earlier command of the same step): try again later."""


class ExistsError(HostError):
    """A thing of this name exists already: ours from before a crash, or somebody else's."""


class MissingError(HostError):
    """What the operation needs is not there: a path, a jail, an interface."""


class ToolsError(HostError):
    """The jail tools cannot be used: the text names the file and says what to install or set."""


__all__ = ["BusyError", "ExistsError", "HostError", "MissingError", "ToolsError"]
