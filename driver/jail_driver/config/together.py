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
        if config.vnet and (addresses or mode in ("new", "disable")):
            problems.add(
                f"{family}_addr" if addresses else family,
                addresses or mode,
                "a jail with Vnet has no address restrictions",
                "leave it out and configure the interfaces inside, or leave Vnet out",
            )
    if config.vnet and config.ip_hostname:
        problems.add(
            "Ip_hostname",
            value=True,
            reason="a jail with Vnet has no address restrictions",
            remedy="leave it out",
        )
