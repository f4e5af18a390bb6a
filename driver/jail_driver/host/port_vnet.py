"""A part of the port to the host: a vnet jail's own network, and device files in a jail's /dev."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class VnetExtras(Protocol):
    """See ``jail_driver.host.port.JailHost``, which includes this."""

    async def join_bridge(self, bridge: str, interface: str, *, lock: Path | None = None) -> None:
        """Makes an interface a member of a bridge, and brings it up; one that is a member already is fine.

        It leaves the bridge when it is destroyed. The bridge itself is left as it is.

        Raises:
            MissingError: no such bridge, or no such interface.
        """
        ...

    async def add_inside(
        self, jid: int, interface: str, address: str, prefix: int, *, lock: Path | None = None
    ) -> None:
        """Adds an address to an interface inside a vnet jail, and brings it up; may be repeated.

        As outside, an IPv6 address can be bound once this returns.

        Raises:
            MissingError: no such jail, or it has no such interface.
        """
        ...

    async def add_default_route(self, jid: int, gateway: str, *, lock: Path | None = None) -> None:
        """Adds a vnet jail's default route; may be repeated.

        Raises:
            MissingError: no such jail.
            HostError: the gateway cannot be reached from inside.
        """
        ...

    async def has_device_rules(self, ruleset: int) -> bool:
        """Tells whether a devfs(8) ruleset holds any rule; a devfs with an empty one shows every device."""
        ...

    async def show_device(self, target: Path, path: str, *, lock: Path | None = None) -> None:
        """Shows a device file that the ruleset of a mounted devfs hides; it ends with the mount.

        Args:
            target: where the devfs is mounted.
            path: the file's name below /dev, for example ``dri/card0``; devfs(8)'s patterns are not taken.
            lock: see ``jail_driver.host.port``.

        Raises:
            ConfigError: a name that devfs(8) would take for something else.
            HostError: it refused.
        """
        ...
