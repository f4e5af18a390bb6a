"""Addresses and interfaces by ifconfig(8)."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from pathlib import Path

from jail_driver.errors import ConfigError
from jail_driver.host import parse
from jail_driver.host.command import Completed, Runner
from jail_driver.host.errors import ExistsError, HostError, MissingError
from jail_driver.host.port import AddressSeen
from jail_driver.host.shell import HostCommands, Listing, refusal, says
from jail_driver.host.tools import Tools

# IFNAMSIZ is 16 with the NUL (if(4)); a leading '-' would be an option.
_INTERFACE = re.compile(r"[^\s/\0-][^\s/\0]{0,14}")
_NO_INTERFACE = "does not exist"
_NO_JAIL = "not found"
_DUPLICATES_S = 5.0
_LOOK_AGAIN_S = 0.1


class AddressCommands(HostCommands):
    """What adding an address has in common on the host and inside a jail."""

    async def _usable(self, what: str, words: tuple[str, ...], address: str) -> None:
        """Waits until an IPv6 address that was just added can be bound.

        The kernel first looks for the same address elsewhere on the link (RFC 4862, one to two seconds, not on
        loopback); until then a program's bind(2) fails with EADDRNOTAVAIL (in6_pcb.c). An interface without
        a carrier never ends that: the wait is bounded, and the address is then used as it is.

        Args:
            what: for the error.
            words: of ifconfig(8), to show the interface.
            address: canonical text.

        Raises:
            HostError: another machine has the address.
        """
        end_s = time.monotonic() + _DUPLICATES_S
        while ":" in address:
            done = await self._look(self._tools.ifconfig, *words)
            state = parse.address_words(done.stdout, address)
            if "duplicated" in state:
                raise HostError(what, f"another machine on this network has {address} already")
            if "tentative" not in state or time.monotonic() > end_s:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)


class NetworkCommands(AddressCommands):
    """The part of the adapter that deals with the host's network."""

    def __init__(self, tools: Tools, runner: Runner | None = None) -> None:
        super().__init__(tools, runner)
        self._addresses = Listing(self._list_addresses)
        self._interfaces = Listing(self._list_interfaces)

    async def addresses(self) -> tuple[AddressSeen, ...]:
        """See ``JailHost``: ``ifconfig -a`` (ifconfig(8))."""
        return await self._addresses.get()

    async def interfaces(self, jid: int | None = None) -> tuple[str, ...]:
        """See ``JailHost``: ``ifconfig [-j JID] -l`` (ifconfig(8); -j from FreeBSD 13.1)."""
        if jid is None:
            return await self._interfaces.get()
        done = await self._look(self._tools.ifconfig, "-j", str(jid), "-l")
        return _names(done, f"list the interfaces of jail {jid}")

    async def add_address(
        self, interface: str, address: str, prefix: int, *, lock: Path | None = None
    ) -> None:
        """See ``JailHost``: ``ifconfig IF inet|inet6 A/P alias`` (ifconfig(8), as jail(8) does)."""
        family, plain = family_of(address)
        done = await self._ifconfig(interface, family, f"{plain}/{prefix}", "alias", lock=lock)
        what = f"add {plain}/{prefix} to {interface}"
        if not done.ok:
            raise refusal(done, what, {_NO_INTERFACE: MissingError})
        await self._usable(what, (interface,), plain)

    async def remove_address(self, interface: str, address: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``ifconfig IF inet|inet6 A -alias`` (ifconfig(8))."""
        family, plain = family_of(address)
        done = await self._ifconfig(interface, family, plain, "-alias", lock=lock)
        if not done.ok and not says(done, "Can't assign requested address", _NO_INTERFACE):
            raise refusal(done, f"remove {plain} from {interface}", {})

    async def give_interface(self, interface: str, jid: int, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``ifconfig IF vnet JID`` (ifconfig(8))."""
        done = await self._ifconfig(interface, "vnet", str(jid), lock=lock)
        if not done.ok:
            kinds = {_NO_INTERFACE: MissingError, _NO_JAIL: MissingError}
            raise refusal(done, f"give {interface} to jail {jid}", kinds)

    async def take_interface(self, interface: str, jid: int, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``ifconfig IF -vnet JID`` (ifconfig(8)).

        "Device not configured" (recorded): the jail does not have it. A dying jail gives it back itself.
        """
        done = await self._ifconfig(interface, "-vnet", str(jid), lock=lock)
        if not done.ok and not says(done, "Device not configured", _NO_INTERFACE, _NO_JAIL, "is dying"):
            raise refusal(done, f"take {interface} back from jail {jid}", {})

    async def create_epair(self, unit: int | None = None, *, lock: Path | None = None) -> tuple[str, str]:
        """See ``JailHost``: ``ifconfig epair[N] create`` (epair(4)); it prints the name of the a-end."""
        name = "epair" if unit is None else f"epair{unit}"
        done = await self._ifconfig(name, "create", lock=lock)
        if not done.ok:
            raise refusal(done, f"create {name}", {"already exists": ExistsError})
        end = parse.text(done.stdout).strip()
        if not re.fullmatch(r"epair\d+a", end):
            raise HostError(f"create {name}", f"ifconfig printed {end!r} instead of the pair's name")
        return end, f"{end[:-1]}b"

    async def destroy_interface(self, interface: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``ifconfig IF destroy`` (ifconfig(8))."""
        done = await self._ifconfig(interface, "destroy", lock=lock)
        if not done.ok and not says(done, _NO_INTERFACE):
            raise refusal(done, f"destroy {interface}", {})

    async def _ifconfig(self, interface: str, *arguments: str, lock: Path | None) -> Completed:
        check_interface(interface)
        return await self._change(self._tools.ifconfig, interface, *arguments, lock=lock)

    async def _list_addresses(self) -> tuple[AddressSeen, ...]:
        done = await self._look(self._tools.ifconfig, "-a")
        return parse.addresses(done.check("list addresses").stdout)

    async def _list_interfaces(self) -> tuple[str, ...]:
        return _names(await self._look(self._tools.ifconfig, "-l"), "list interfaces")


def _names(done: Completed, what: str) -> tuple[str, ...]:
    if not done.ok:
        raise refusal(done, what, {_NO_JAIL: MissingError})
    return tuple(parse.text(done.stdout).split())


def check_interface(name: str) -> None:
    """Refuses what ifconfig(8) would take for something else than an interface.

    Raises:
        ConfigError: naming it.
    """
    if not _INTERFACE.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be the name of an interface")


def family_of(address: str) -> tuple[str, str]:
    """Returns ifconfig(8)'s word for an address's family, and the address as canonical text.

    Raises:
        ConfigError: it is none.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise ConfigError(f"{address!r} is not an IP address") from None
    return ("inet" if parsed.version == 4 else "inet6"), str(parsed)  # noqa: PLR2004  # the version's name
