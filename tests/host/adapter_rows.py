"""What the adapter's rows share: the recorded mount table, and the types of a row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jail_driver.host.freebsd import FreeBSDHost
from jail_driver.host.port import MountSeen

Row = tuple[str, int, str, str]
Call = Callable[[FreeBSDHost], Awaitable[Any]]

TABLE = "mount -v --libxo json"
JLS = "jls -d --libxo json jid name path host.hostname dying"
ROOT = Path("/db/t1/root")


def table(*entries: tuple[str, str, str, str]) -> Row:
    """Returns a recorded mount table of (special, node, fstype, fsid)."""
    shown = ", ".join(
        f'{{"special":"{special}","node":"{node}","fstype":"{fstype}","fsid":"{fsid}"}}'
        for special, node, fstype, fsid in entries
    )
    return (TABLE, 0, f'{{"mount": {{"mounted": [{shown}]}}}}\n', "")


VIEW = ("/jails/r", "/db/t1/root", "nullfs", "09ff002929000000")
VIEW_SEEN = MountSeen("/jails/r", "/db/t1/root", "nullfs", "09ff002929000000")
NULLFS = "mount -t nullfs /jails/r /db/t1/root"
