"""The port between the engine and the host: what can be seen of it and what can be done to it.

Observations return everything there is; telling ours from others' is the caller's decision. Every
operation may raise ``HostError`` with the host's own words; the subclasses in ``errors`` are named where
a caller has something to decide. Undoing something that is gone already is success, so that a teardown
can be repeated.

``lock``: a file of the task's directory, one per effect. The command keeps it locked while it runs, even
when this process dies, so that a newer one can wait for it (``command.wait_in_flight``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jail_driver.host.port_jail import JailExtras
from jail_driver.host.port_vnet import VnetExtras


@dataclass(frozen=True, slots=True)
class JailSeen:
    """One jail as jls(8) shows it.

    Args:
        jid: the kernel's number; never used twice at once, but reused later.
        name: full name, ``parent.child`` for a jail inside a jail.
        path: its root directory on the host.
        hostname: host.hostname.
        dying: removed, but something (a process, a socket, a mount) still holds it.
        meta: the text that its creator attached (FreeBSD 15.0 and later), else empty.
    """

    jid: int
    name: str
    path: str
    hostname: str = ""
    dying: bool = False
    meta: str = ""


@dataclass(frozen=True, slots=True)
class MountSeen:
    """One entry of the mount table, as mount(8) shows it.

    Args:
        source: what is mounted: a directory, a device, or the file system's name.
        target: where, an absolute path without symbolic links.
        fstype: ``nullfs``, ``devfs``, ``tmpfs``…
        fsid: sixteen hexadecimal digits, unique while mounted; empty where the system gives none.
        readonly: mounted read-only.
    """

    source: str
    target: str
    fstype: str
    fsid: str = ""
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class AddressSeen:
    """One address of one interface of the host's own network stack.

    Args:
        interface: for example ``em1``.
        address: canonical text, without prefix and zone.
        prefix: length of the network part, bits.
    """

    interface: str
    address: str
    prefix: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One rctl(8) rule whose subject is a jail, by name: it may exist before and after the jail.

    Args:
        jail: the jail's name.
        resource: ``memoryuse``, ``maxproc``…
        action: ``deny``, ``log``, ``devctl``, ``throttle`` or ``sig…``.
        amount: as rctl(8) takes it (``64M``); rules that were read back show plain bytes.
        per: ``process``, ``user``, ``loginclass`` or ``jail``; None means the whole jail.
    """

    jail: str
    resource: str
    action: str
    amount: str
    per: str | None = None

    def text(self) -> str:
        """Returns the rule as rctl(8) writes it, for example ``jail:web:maxproc:deny=20/user``."""
        per = f"/{self.per}" if self.per else ""
        return f"jail:{self.jail}:{self.resource}:{self.action}={self.amount}{per}"


class JailHost(JailExtras, VnetExtras, Protocol):
    """A FreeBSD host, or what stands in for one."""

    async def kernel_parameters(self) -> frozenset[str]:
        """Returns the jail parameters that the kernel knows now, by their jail(8) names.

        Asked anew each time: kldload(8) adds some (``linux``, ``allow.mount.zfs``).
        """
        ...

    async def racct_enabled(self) -> bool:
        """Tells whether rctl(8) rules can work (kern.racct.enable)."""
        ...

    async def boot_id(self) -> str:
        """Returns text that differs between two boots of this host and never within one."""
        ...

    async def release(self) -> str:
        """Returns kern.osrelease, for example ``15.0-RELEASE``."""
        ...

    async def jails(self, *, dying: bool = True) -> tuple[JailSeen, ...]:
        """Returns every jail, with ``dying`` also those that are removed but still held."""
        ...

    async def create_jail(
        self, name: str, path: Path, params: Mapping[str, str | None], *, lock: Path | None = None
    ) -> int:
        """Creates a kernel jail without any process in it and returns its jid.

        ``persist`` is always set. No hook, mount or address is made: those are steps of their own.

        Args:
            name: unique among living jails.
            path: the jail's root.
            params: kernel parameters by name; None is a bare flag (``vnet``, ``allow.chflags``).
            lock: see the module.

        Raises:
            ExistsError: a living jail has this name.
            MissingError: ``path`` does not exist, or is no directory.
            ConfigError: a parameter that is not the kernel's, such as a hook or a mount.
        """
        ...

    async def remove_jail(self, jid: int, *, lock: Path | None = None) -> None:
        """Removes a jail. Its processes are signalled, it may stay visible as dying for a while.

        A process that ignores SIGTERM delays this by up to ten seconds: kill first. A missing jail is
        fine.
        """
        ...

    async def kill_processes(self, jid: int, signal: str = "SIGKILL", *, lock: Path | None = None) -> bool:
        """Signals every process of a jail and tells whether there was one. A missing jail has none."""
        ...

    async def mounts(self) -> tuple[MountSeen, ...]:
        """Returns the mount table in the order of mounting."""
        ...

    async def mount(
        self,
        fstype: str,
        source: str,
        target: Path,
        options: Sequence[str] = (),
        *,
        lock: Path | None = None,
    ) -> MountSeen:
        """Mounts and verifies where it landed.

        Args:
            fstype: ``nullfs``, ``devfs``, ``tmpfs``…
            source: the directory, device or name to mount.
            target: absolute, without symbolic links; must exist.
            options: single options (``ro``, ``size=1m``); a comma in one is refused.
            lock: see the module.

        Returns:
            The entry of the mount table; keep its fsid for ``unmount``.

        Raises:
            MissingError: source or target is not there.
            ConfigError: an option or a path that mount(8) would take apart differently.
            HostError: also nullfs onto itself (EDEADLK), and a mount that landed elsewhere than asked (a
                jailed root swapped a directory for a link); it has been unmounted then.
        """
        ...

    async def unmount(self, mount: str | MountSeen, *, force: bool = False, lock: Path | None = None) -> None:
        """Unmounts one file system. Not mounted is fine.

        Args:
            mount: its fsid; or its absolute target, of which the uppermost is unmounted; or an entry of the
                mount table, which is compared with the table first (an fsid may be in use again).
            force: even if busy: open files turn into errors.
            lock: see the module.

        Raises:
            BusyError: a process or a jail still uses it.
        """
        ...

    async def addresses(self) -> tuple[AddressSeen, ...]:
        """Returns the addresses of the host's own interfaces."""
        ...

    async def add_address(
        self, interface: str, address: str, prefix: int, *, lock: Path | None = None
    ) -> None:
        """Adds an alias. One that exists is replaced (its mask too): look before you add.

        It can be bound once this returns: an IPv6 address is waited for while the kernel looks for duplicates.

        Raises:
            MissingError: no such interface.
            HostError: another machine has the IPv6 address.
        """
        ...

    async def remove_address(self, interface: str, address: str, *, lock: Path | None = None) -> None:
        """Removes an alias. One that is gone, with its interface or not, is fine."""
        ...

    async def interfaces(self, jid: int | None = None) -> tuple[str, ...]:
        """Returns the names of the host's interfaces, or of a vnet jail's.

        Raises:
            MissingError: no such jail.
        """
        ...

    async def give_interface(self, interface: str, jid: int, *, lock: Path | None = None) -> None:
        """Moves an interface into a vnet jail.

        Raises:
            MissingError: no such interface on the host, or no such jail.
        """
        ...

    async def take_interface(self, interface: str, jid: int, *, lock: Path | None = None) -> None:
        """Moves an interface back to the host. A jail or an interface that is gone is fine."""
        ...

    async def create_epair(self, unit: int | None = None, *, lock: Path | None = None) -> tuple[str, str]:
        """Creates a pair of virtual Ethernet interfaces and returns both names.

        Args:
            unit: its number, so that it can be announced before it exists; None: the next free one.
            lock: see the module.

        Raises:
            ExistsError: the unit is taken.
        """
        ...

    async def destroy_interface(self, interface: str, *, lock: Path | None = None) -> None:
        """Destroys a cloned interface, for an epair both ends. One that is gone is fine."""
        ...

    async def rules(self, jail_name: str) -> tuple[Rule, ...]:
        """Returns the rctl rules of this jail name; none where rctl is switched off."""
        ...

    async def add_rule(self, rule: Rule, *, lock: Path | None = None) -> None:
        """Adds a rule, or replaces the amount of an equal one.

        Raises:
            HostError: the kernel refuses the combination, or rctl is switched off.
        """
        ...

    async def remove_rules(self, jail_name: str, *, lock: Path | None = None) -> None:
        """Removes every rule of this jail name. None there is fine."""
        ...
