"""The plan's network: addresses on the host, a pair to a bridge, what moves inside and is set up there. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from jail_driver.config.model import AddressWanted, JailConfig
from jail_driver.model import TaskSpec
from jail_state.core.steps import Phase, Step, StepKind

_LOOPBACK = "lo0"
_EPAIR = "epair"


def own_address(config: JailConfig) -> str:
    """Return the task's own address, the first of all; empty where it has none."""
    first = (*config.ip4_addrs, *config.ip6_addrs)[:1]
    return first[0].address if first else ""


def has_no_network(config: JailConfig) -> bool:
    """Whether the jail can use no address at all: jail(8)'s default, ``ip4=disable`` and ``ip6=disable``."""
    inherits = "inherit" in (config.params.get("ip4"), config.params.get("ip6"))
    return not (config.vnet or inherits or own_address(config))


def restrictions(config: JailConfig) -> dict[str, str]:
    """Return the kernel's address parameters; a jail with its own network has none."""
    wanted = {"ip4.addr": config.ip4_addrs, "ip6.addr": config.ip6_addrs}
    if config.vnet:
        return {}
    return {name: ",".join(one.address for one in entries) for name, entries in wanted.items() if entries}


def ports_of(spec: TaskSpec) -> dict[str, int]:
    """Return the port that the task listens on, by label: ``to`` where the job maps it."""
    return {port.label: port.to if port.to > 0 else port.value for port in spec.resources.ports}


def notices(spec: TaskSpec, config: JailConfig) -> tuple[str, ...]:
    """Return what the job's author should know of the network.

    A service that names a port by its label is registered at ``to`` of that label, and at 0 where there is
    none (client/serviceregistration/address.go, mode "driver").
    """
    if spec.resources.ports and has_no_network(config):
        named = ", ".join(port.label for port in spec.resources.ports)
        remedy = 'Ip4_addr = "em1|192.0.2.10" (an address of its own) or Ip4 = "inherit" (the host\'s)'
        return (f"port {named}: jail(8) gives a jail no network unless it is told to; write {remedy}",)
    bare = [port.label for port in spec.resources.ports if port.to <= 0]
    if not bare or not own_address(config):
        return ()
    named = ", ".join(bare)
    registered = (
        f"port {named}: services of a jail with its own address are registered at the port that `to` names"
    )
    return (f"{registered}; write `to = -1` or a number there, or they are registered at port 0",)


def host_steps(config: JailConfig) -> tuple[Step, ...]:
    """Return the steps on the host's side: aliases, or the pair that joins the jail to a bridge."""
    if not config.vnet:
        return _aliases((*config.ip4_addrs, *config.ip6_addrs))
    if config.bridge is None:
        return ()
    bridge = Step(f"bridge {config.bridge}", StepKind.BRIDGE, Phase.ADDRESS, {"bridge": config.bridge})
    return (Step(_EPAIR, StepKind.EPAIR, Phase.ADDRESS), bridge)


def inside_steps(config: JailConfig) -> tuple[Step, ...]:
    """Return the steps inside a jail's own network, once the jail exists."""
    if not config.vnet:
        return ()
    # An empty name is the pair's end, whose number is known only once it was made.
    names = [*config.vnet_interfaces, *([""] if config.bridge else [])]
    moved = [
        Step(f"interface {name or _EPAIR}", StepKind.INTERFACE, Phase.INTERFACE, {"interface": name})
        for name in names
    ]
    wanted = (*config.ip4_addrs, *config.ip6_addrs)
    if not wanted:
        return tuple(moved)
    default = "" if config.bridge else config.vnet_interfaces[0]
    set_up = [_inside(_LOOPBACK, AddressWanted("127.0.0.1", _LOOPBACK, 8))]
    set_up += [_inside(default if one.interface is None else one.interface, one) for one in wanted]
    routes = [
        Step(f"route default {gateway}", StepKind.ROUTE, Phase.INTERFACE, {"gateway": gateway})
        for gateway in config.gateways
    ]
    return (*moved, *set_up, *routes)


def _inside(interface: str, wanted: AddressWanted) -> Step:
    args = {"interface": interface, "address": wanted.address, "prefix": _prefix(wanted)}
    return Step(f"inside {interface or _EPAIR}|{wanted.address}", StepKind.INSIDE, Phase.INTERFACE, args)


def _aliases(wanted: Iterable[AddressWanted]) -> tuple[Step, ...]:
    return tuple(
        Step(
            f"address {one.interface}|{one.address}",
            StepKind.ADDRESS,
            Phase.ADDRESS,
            {"interface": one.interface, "address": one.address, "prefix": _prefix(one)},
        )
        for one in wanted
        if one.interface is not None
    )


def _prefix(wanted: AddressWanted) -> int:
    if wanted.prefix_len is not None:
        return wanted.prefix_len
    return 128 if ":" in wanted.address else 32
