"""What the tools directory says: where the registry is, how long jails stay dying, where to stop for a test."""

import os

from jail_linux.failure import Failure
from jail_linux.jsontext import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Settings:
    """Settings of one tools directory, read from its settings.json.

    Attributes:
        directory: The tools directory.
        registry: Directory of the jails, rules and mounts that these tools know.
        dying_s: Seconds for which a removed jail stays dying, its root and interfaces busy.
        racct: Whether kern.racct.enable reads 1.
        boot_id: What kern.boot_id reads, a UUID; another one is a reboot. Empty: that of Linux.
        barriers: Stops for tests, see `jail_linux.barriers`.
    """

    __slots__ = ("barriers", "boot_id", "directory", "dying_s", "racct", "registry")

    def __init__(self, directory: str, values: "dict[str, Any]") -> None:
        self.directory = directory
        self.registry = str(values["registry"])
        self.dying_s = float(values.get("dying_s", 0.0))
        self.racct = bool(values.get("racct", True))
        self.boot_id = str(values.get("boot_id") or "")
        self.barriers: list[dict[str, Any]] = values.get("barriers") or []


def load(directory: str) -> Settings:
    """Read the settings of a tools directory.

    Args:
        directory: Where `jail_linux.install` wrote the commands.

    Returns:
        The settings.

    Raises:
        Failure: The file is missing or is not what install writes.
    """
    path = os.path.join(directory, "settings.json")
    try:
        with open(path, encoding="utf-8") as stream:
            values = loads(stream.read())
        return Settings(directory, values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Failure(f"jail_linux: {path}: {problem}") from problem
