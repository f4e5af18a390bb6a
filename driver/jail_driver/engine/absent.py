"""What a task names and the host does not have now: seen before anything is made, and worth trying again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jail_driver.config.kinds import printable
from jail_driver.config.model import JailConfig
from jail_driver.errors import HostError

if TYPE_CHECKING:
    from jail_driver.engine.runtime import Runtime

_PREPARE = "exec.prepare"
_SHOWN = 200


async def absent(runtime: Runtime, config: JailConfig) -> list[str]:
    """Return a sentence for each interface, bridge and directory that is not there.

    ``Exec_prepare`` may make them, so with such a hook nobody looks. ``Vnet_nic`` is made by later hooks, or
    comes back from a jail that is just going.
    """
    if _PREPARE in config.hooks:
        return []
    return [*await _interfaces(runtime, config), *_sources(config)]


async def _interfaces(runtime: Runtime, config: JailConfig) -> list[str]:
    wanted = () if config.vnet else (*config.ip4_addrs, *config.ip6_addrs)
    named = [one for one in wanted if one.interface is not None]
    if not named and config.bridge is None:
        return []
    there = await runtime.host.interfaces()
    # An address that any interface has is used where it is.
    present = {seen.address for seen in await runtime.host.addresses()} if named else set()
    found = [
        str(address_without_interface(one.interface, one.address, there))
        for one in named
        if one.interface and one.interface not in there and one.address not in present
    ]
    if config.vnet and config.bridge is not None and config.bridge not in there:
        found.append(str(no_bridge(config.bridge)))
    return found


def _sources(config: JailConfig) -> Iterable[str]:
    for mount in config.mounts:
        if mount.fstype == "nullfs" and not os.path.lexists(mount.source):
            written = printable(f"{mount.source} {mount.target} nullfs", _SHOWN)
            yield f'Mount = "{written}": its source is not there on this node; make it, or name another'


def _key(address: str) -> str:
    return "Ip6_addr" if ":" in address else "Ip4_addr"


def address_without_interface(interface: str, address: str, there: Iterable[str]) -> HostError:
    """Return what to say of an address whose interface is not there."""
    return no_interface(f'{_key(address)} = "{interface}|{address}"', interface, there)


def no_interface(what: str, interface: str, there: Iterable[str]) -> HostError:
    """Return what to say of an interface that is not there: hooks may make one before it is needed."""
    return HostError(
        what,
        f"this host has no interface {interface}; it has {', '.join(there)}; name another, or make it in a hook",
    )


def no_bridge(bridge: str) -> HostError:
    """Return what to say of a bridge that is not there: it is the operator's."""
    return HostError(
        f'Bridge = "{bridge}"', f"no such bridge on this host; make it: ifconfig {bridge} create up"
    )
