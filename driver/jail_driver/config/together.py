"""Checks that need more than one key: what contradicts, and what lacks its other half."""

from __future__ import annotations

from collections.abc import Mapping  # signatures are read by the type checker
from typing import Any

from jail_driver.config.kinds import Problems  # as above
from jail_driver.config.model import JailConfig, KernelFacts  # as above


def check_together(
    config: JailConfig, given: Mapping[str, Any], kernel: KernelFacts | None, problems: Problems
) -> None:
    """Notes keys that contradict each other."""
    if (
        not config.start
        and not config.persist
        and not ({"Exec_start", "Command"} & given.keys() and problems.found)
    ):
        problems.found.append(
            "Exec_start is missing: the task has nothing to run; write Exec_start, or Persist = true "
            "for a jail that lives until it is stopped"
        )
    if config.vnet_interfaces and not config.vnet:
        problems.add(
            "Vnet_nic",
            list(config.vnet_interfaces),
            "needs a network stack of the jail's own",
            "write Vnet = true",
        )
    if config.zfs_datasets and "allow.mount.zfs" not in config.params:
        problems.add(
            "Zfs_dataset",
            list(config.zfs_datasets),
            "cannot be used inside",
            "write Allow_mount_zfs = true as well",
        )
    if config.rules and kernel is not None and kernel.racct is False:
        problems.found.append(
            "Rctl: this host does not account for resources; set kern.racct.enable=1 in /boot/loader.conf and reboot"
        )
    if config.ip_hostname and "host.hostname" not in config.params:
        problems.add(
            "Ip_hostname", value=True, reason="there is no host name to look up", remedy="write Host_hostname"
        )
    _check_families(config, problems)
    _check_vnet(config, problems)


def _check_families(config: JailConfig, problems: Problems) -> None:
    for family, wanted in (("Ip4", config.ip4_addrs), ("Ip6", config.ip6_addrs)):
        mode = config.params.get(family.lower())
        addresses = [entry.address for entry in wanted]
        if addresses and mode in ("inherit", "disable"):
            problems.add(
                f"{family}_addr",
                addresses,
                f"contradicts {family} = {mode!r}",
                f'leave {family} out or write "new"',
            )
        if config.vnet and mode is not None:
            remedy = "leave it out and configure the interfaces inside, or leave Vnet out"
            problems.add(family, mode, "a jail with Vnet has no address restrictions", remedy)
    if config.vnet and config.ip_hostname:
        problems.add(
            "Ip_hostname",
            value=True,
            reason="a jail with Vnet has no address restrictions",
            remedy="leave it out",
        )


def _check_vnet(config: JailConfig, problems: Problems) -> None:
    """Notes what needs a network stack of the jail's own, and addresses inside that have no interface."""
    for key, value in (("Bridge", config.bridge), ("Gateway", list(config.gateways))):
        if value and not config.vnet:
            problems.add(key, value, "needs a network stack of the jail's own", "write Vnet = true")
    if not config.vnet:
        return
    for key, wanted in (("Ip4_addr", config.ip4_addrs), ("Ip6_addr", config.ip6_addrs)):
        for entry in wanted:
            if entry.interface is None and not (config.bridge or config.vnet_interfaces):
                problems.add(
                    key,
                    entry.address,
                    "has no interface inside to stand on",
                    "write Bridge or Vnet_nic as well",
                )
            elif entry.interface is not None and entry.interface not in config.vnet_interfaces:
                remedy = "name one of Vnet_nic, or none for the pair of Bridge"
                problems.add(key, entry.address, f"{entry.interface} is not moved into the jail", remedy)
    for gateway in config.gateways:
        family, wanted = ("Ip6", config.ip6_addrs) if ":" in gateway else ("Ip4", config.ip4_addrs)
        if not wanted:
            remedy = f"write {family}_addr as well, or let the jail's own rc(8) set its routes"
            problems.add(
                "Gateway", gateway, "cannot be reached: no address of its family is set inside", remedy
            )
