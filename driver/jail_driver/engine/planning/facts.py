"""What planning needs to know of the host, read once at the start."""

from __future__ import annotations

from dataclasses import dataclass

from jail_driver.host.port import MountSeen


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What planning needs to know of the host, read once at the start."""

    boot_id: str
    mounts: tuple[MountSeen, ...]
    keep_out: tuple[str, ...]
    """Directories whose mounts never belong into a view: the state directory, Nomad's allocations."""
