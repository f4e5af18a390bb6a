"""A vnet jail's own network by ifconfig(8) and route(8), device files by devfs(8)."""

from __future__ import annotations

import re
from pathlib import Path

from jail_driver.errors import ConfigError
from jail_driver.host.errors import MissingError
from jail_driver.host.network import AddressCommands, check_interface, family_of
from jail_driver.host.shell import refusal, says

# No pattern of devfs(8), no option, nothing that leaves /dev.
_DEVICE = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,254}", re.ASCII)
_NO_JAIL = "not found"
_NO_INTERFACE = "does not exist"


class VnetCommands(AddressCommands):
    """The part of the adapter that sets up the inside of a jail's network and of its /dev."""

    async def join_bridge(self, bridge: str, interface: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``ifconfig IF up``, ``ifconfig BRIDGE addm IF`` (if_bridge(4))."""
        what = f"join {interface} to {bridge}"
        for name, *words in ((interface, "up"), (bridge, "addm", interface)):
            check_interface(name)
            done = await self._change(self._tools.ifconfig, name, *words, lock=lock)
            if not done.ok and not says(done, f"BRDGADD {interface}: File exists"):
                raise refusal(done, what, {_NO_INTERFACE: MissingError, "No such file": MissingError})

    async def add_inside(
        self, jid: int, interface: str, address: str, prefix: int, *, lock: Path | None = None
    ) -> None:
        """See ``JailHost``: ``ifconfig -j JID IF inet|inet6 A/P alias up`` (ifconfig(8), from 13.1)."""
        check_interface(interface)
        family, plain = family_of(address)
        words = (interface, family, f"{plain}/{prefix}", "alias", "up")
        done = await self._change(self._tools.ifconfig, "-j", str(jid), *words, lock=lock)
        what = f"add {plain}/{prefix} to {interface} inside jail {jid}"
        if not done.ok:
            raise refusal(done, what, {_NO_INTERFACE: MissingError, _NO_JAIL: MissingError})
        await self._usable(what, ("-j", str(jid), interface), plain)

    async def add_default_route(self, jid: int, gateway: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``route -j JID add -inet|-inet6 default G`` (route(8), from 13.3 and 14.0).

        A new network has no route, so one that is "already in table" (route(8) says so on its standard
        output) is from an earlier life of this driver.
        """
        family, plain = family_of(gateway)
        done = await self._change(
            self._tools.route, "-j", str(jid), "add", f"-{family}", "default", plain, lock=lock
        )
        if not done.ok and b"already in table" not in done.stdout + done.stderr:
            raise refusal(done, f"set the default route of jail {jid} to {plain}", {_NO_JAIL: MissingError})

    async def has_device_rules(self, ruleset: int) -> bool:
        """See ``JailHost``: ``devfs rule -s N show`` (devfs(8)), which prints nothing for a set that is not there."""
        done = await self._look_once(self._tools.devfs, "rule", "-s", str(ruleset), "show")
        return bool(done.check(f"list the rules of devfs ruleset {ruleset}").stdout.strip())

    async def show_device(self, target: Path, path: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``devfs -m TARGET rule apply path P unhide`` (devfs(8)).

        The directories above are unhidden too: devfs(5) hides what lies in a hidden one.
        """
        if not _DEVICE.fullmatch(path):
            raise ConfigError(f"{path!r} cannot be the name of a device file below /dev")
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            rule = ("rule", "apply", "path", "/".join(parts[:depth]), "unhide")
            done = await self._change(self._tools.devfs, "-m", str(target), *rule, lock=lock)
            done.check(f"show /dev/{path} in {target}")
