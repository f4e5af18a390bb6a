"""A part of the port to the host: what a jail gets besides its parameters, and single kernel values."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class JailExtras(Protocol):
    """See ``jail_driver.host.port.JailHost``, which includes this."""

    async def kernel_value(self, name: str) -> str | None:
        """Returns a value of sysctl(8) as text, such as ``hw.clockrate``; None if this kernel has none."""
        ...

    async def bind_cpus(self, jid: int, cpus: str, *, lock: Path | None = None) -> None:
        """Binds a jail to processors, its processes to come included; it ends with the jail.

        Args:
            jid: the jail.
            cpus: as cpuset(1) takes them: ``0,2-3``.
            lock: see ``jail_driver.host.port``.

        Raises:
            HostError: this host has no such processor, or there is no such jail.
        """
        ...

    async def attach_dataset(self, jid: int, dataset: str, *, lock: Path | None = None) -> None:
        """Hands a ZFS dataset to a jail (zfs-jail(8)); one that the jail has already is fine.

        Raises:
            HostError: no such dataset, it is not ``jailed=on``, another jail has it, or no ZFS is here.
        """
        ...

    async def detach_dataset(self, jid: int, dataset: str, *, lock: Path | None = None) -> None:
        """Takes a ZFS dataset back. A jail that is gone, or never had it, is fine."""
        ...
