"""The in-memory host's network."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from jail_driver.host.errors import ExistsError, HostError, MissingError
from jail_driver.host.fakebase import FakeKernel
from jail_driver.host.port import AddressSeen


class FakeNetwork(FakeKernel):
    """See ``FakeHost``."""

    async def addresses(self) -> tuple[AddressSeen, ...]:
        """See ``JailHost``."""
        async with self.operation("addresses"):
            return tuple(self.address_list)

    async def add_address(
        self, interface: str, address: str, prefix: int, *, lock: Path | None = None
    ) -> None:
        """See ``JailHost``."""
        async with self.operation("add_address", lock):
            if interface not in self.host_interfaces:
                raise MissingError(
                    f"add {address}/{prefix} to {interface}",
                    f"ifconfig: interface {interface} does not exist",
                )
            added = AddressSeen(interface, str(ipaddress.ip_address(address)), prefix)
            if any(
                ":" in address
                and (seen.interface, seen.address) == (interface, added.address)
                and seen.prefix != prefix
                for seen in self.address_list
            ):
                raise HostError(
                    f"add {address}/{prefix} to {interface}",
                    "ifconfig: ioctl (SIOCAIFADDR): Invalid argument",
                )
            self._drop(interface, address)
            self.address_list.append(added)

    async def remove_address(self, interface: str, address: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("remove_address", lock):
            self._drop(interface, address)

    async def interfaces(self, jid: int | None = None) -> tuple[str, ...]:
        """See ``JailHost``."""
        async with self.operation("interfaces"):
            if jid is None:
                return tuple(self.host_interfaces)
            jail = self.living(jid)
            if jail is None:
                raise MissingError(f"list the interfaces of jail {jid}", "ifconfig: jail not found")
            return tuple(self.host_interfaces if jail.interfaces is None else jail.interfaces)

    async def give_interface(self, interface: str, jid: int, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("give_interface", lock):
            what = f"give {interface} to jail {jid}"
            jail = self.living(jid)
            if jail is None or jail.interfaces is None:
                raise MissingError(what, f'ifconfig: jail "{jid}" not found')
            if interface not in self.host_interfaces:
                raise MissingError(what, f"ifconfig: interface {interface} does not exist")
            self.host_interfaces.remove(interface)
            self.address_list = [seen for seen in self.address_list if seen.interface != interface]
            jail.interfaces.append(interface)

    async def take_interface(self, interface: str, jid: int, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("take_interface", lock):
            jail = self.living(jid)
            if jail is not None and interface in (jail.interfaces or ()):
                jail.interfaces = [name for name in jail.interfaces or () if name != interface]
                self.host_interfaces.append(interface)

    async def create_epair(self, unit: int | None = None, *, lock: Path | None = None) -> tuple[str, str]:
        """See ``JailHost``."""
        async with self.operation("create_epair", lock):
            number = 0 if unit is None else unit
            while unit is None and f"epair{number}a" in self.host_interfaces:
                number += 1
            ends = (f"epair{number}a", f"epair{number}b")
            if not set(ends).isdisjoint(self.host_interfaces):
                raise ExistsError(
                    f"create epair{number}", f"ifconfig: interface epair{number} already exists"
                )
            self.host_interfaces += ends
            return ends

    async def destroy_interface(self, interface: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("destroy_interface", lock):
            ends = {interface}
            if interface.startswith("epair"):
                ends = {f"{interface[:-1]}a", f"{interface[:-1]}b"}
            self.host_interfaces = [name for name in self.host_interfaces if name not in ends]
            self.address_list = [seen for seen in self.address_list if seen.interface not in ends]
            self.bridge_members = {one for one in self.bridge_members if one[1] not in ends}
            for jail in self.jail_table.values():
                jail.interfaces = jail.interfaces and [name for name in jail.interfaces if name not in ends]

    async def join_bridge(self, bridge: str, interface: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("join_bridge", lock):
            for name in (interface, bridge):
                if name not in self.host_interfaces:
                    raise MissingError(
                        f"join {interface} to {bridge}", f"ifconfig: interface {name} does not exist"
                    )
            self.bridge_members.add((bridge, interface))

    async def add_inside(
        self, jid: int, interface: str, address: str, prefix: int, *, lock: Path | None = None
    ) -> None:
        """See ``JailHost``."""
        async with self.operation("add_inside", lock):
            jail = self.living(jid)
            if jail is None or interface not in (jail.interfaces or ()):
                raise MissingError(
                    f"add {address}/{prefix} to {interface} inside jail {jid}",
                    f"ifconfig: interface {interface} does not exist" if jail else "ifconfig: jail not found",
                )
            jail.inside.add(f"{interface} {address}/{prefix}")

    async def add_default_route(self, jid: int, gateway: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("add_default_route", lock):
            jail = self.living(jid)
            what = f"set the default route of jail {jid} to {gateway}"
            if jail is None:
                raise MissingError(what, "route: jail not found")
            networks = [ipaddress.ip_interface(one.split()[1]).network for one in jail.inside]
            if not any(ipaddress.ip_address(gateway) in network for network in networks):
                raise HostError(what, "route: message indicates error: Network is unreachable")
            jail.inside.add(f"default {gateway}/32")

    async def has_device_rules(self, ruleset: int) -> bool:
        """See ``JailHost``."""
        async with self.operation("has_device_rules"):
            return ruleset in range(1, 6)

    async def show_device(self, target: Path, path: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("show_device", lock):
            self.devices.add((str(target), path))

    def _drop(self, interface: str, address: str) -> None:
        plain = str(ipaddress.ip_address(address))
        self.address_list = [
            seen for seen in self.address_list if (seen.interface, seen.address) != (interface, plain)
        ]
