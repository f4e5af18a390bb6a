"""What a task's ``config`` block means once it has been read: plain data, checked and complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HOOKS = (
    "exec.prepare",
    "exec.prestart",
    "exec.created",
    "exec.poststart",
    "exec.prestop",
    "exec.stop",
    "exec.poststop",
    "exec.release",
)
"""The hooks of jail(8) in the order of a jail's life; ``exec.stop`` runs inside, the others on the host."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, split as jail(8) splits it.

    Args:
        text: as the job wrote it; ``commands.split`` makes the same command from it again (except for
            ``exact`` ones, see there).
        argv: what to execute, never empty. A command with shell characters is ``/bin/sh -c text``.
        background: the text ended in ``&``: started, not waited for, its status not looked at.
    """

    text: str
    argv: tuple[str, ...]
    background: bool = False


@dataclass(frozen=True, slots=True)
class AddressWanted:
    """One entry of ``Ip4_addr`` or ``Ip6_addr``.

    Args:
        address: canonical text without prefix.
        interface: where to add it; None: the host must have it already, the driver adds nothing.
        prefix_len: bits, as written; None means a single address (32 or 128).
    """

    address: str
    interface: str | None = None
    prefix_len: int | None = None


@dataclass(frozen=True, slots=True)
class RctlRule:
    """One rctl(8) rule without its subject.

    Args:
        resource: ``vmemoryuse`` and so on, lower case.
        action: ``deny``, ``log``, ``devctl``, ``throttle`` or ``sig…``, lower case.
        amount: a number with an optional suffix, as rctl(8) takes it.
        per: ``jail``, ``process``, ``user`` or ``loginclass``; None leaves it out (the jail).
    """

    resource: str
    action: str
    amount: str
    per: str | None = None

    def text(self, jail_name: str) -> str:
        """Returns the rule as rctl(8) takes it, for example ``jail:web:maxproc:deny=20/user``."""
        per = f"/{self.per}" if self.per else ""
        return f"jail:{jail_name}:{self.resource}:{self.action}={self.amount}{per}"


@dataclass(frozen=True, slots=True)
class FstabMount:
    """One line of ``Mount`` or of the file named by ``Mount_fstab``, fields decoded (vis(3) escapes undone).

    Args:
        source: device or directory on the host.
        target: absolute path inside the jail.
        fstype: for example ``nullfs``.
        options: mount(8) options, each without commas.
    """

    source: str
    target: str
    fstype: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What the running kernel offers.

    Args:
        parameters: jail parameters by their jail(8) names (``allow.raw_sockets``, ``linux``, …).
        release: kern.osrelease, for error texts; empty when unknown.
        racct: whether rctl rules can work (kern.racct.enable); None when unknown.
    """

    parameters: frozenset[str]
    release: str = ""
    racct: bool | None = None

    @classmethod
    def from_sysctl(cls, names: frozenset[str], release: str = "") -> KernelFacts:
        """Takes the names as ``sysctl -N security.jail.param`` prints them, with or without that prefix.

        A trailing dot marks a parameter that also has children (``linux.`` is the parameter ``linux``).
        """
        short = (name.removeprefix("security.jail.param.").rstrip(".") for name in names)
        return cls(frozenset(name for name in short if name and name != "security.jail.param"), release)


@dataclass(frozen=True, slots=True)
class JailConfig:
    """A task's configuration, checked as far as text alone allows.

    Args:
        path: the directory that becomes the jail's root; None means the task's own directory.
        params: the kernel's parameters for ``jail -c`` in order. None is a bare word (``allow.mlock``,
            ``allow.nochflags``); text is the value after ``=``, and may hold anything but NUL. Never holds
            name, path, persist, ip4.addr or ip6.addr: those come from the driver.
        ip4_addrs: wanted IPv4 addresses in order; the first is the source address. With ``vnet``: to be set
            inside, on one of ``vnet_interfaces``; None there means the pair of ``bridge``, else the first one.
        ip6_addrs: wanted IPv6 addresses.
        vnet: whether the jail gets its own network stack (``vnet`` is then in ``params`` too).
        vnet_interfaces: interfaces to move in, in order.
        bridge: bridge that the driver joins the jail to by an epair of its own; only with ``vnet``.
        gateways: default routes inside, at most one a family; only with ``vnet``.
        hosts: lines of the task's own hosts(5) file; empty: it gets none.
        path_readonly: mount Path read-only.
        work_dir: where commands inside start; None: ``/``.
        hooks: commands by hook name (``HOOKS``); a hook without commands is absent.
        start: commands that run inside, one after the other; the last is main. Empty only with ``persist``.
        persist: the task lives until it is stopped, whatever main's successful end.
        exec_timeout_s: limit of each hook; None: the plugin's option; 0: none.
        stop_timeout_s: grace for every way into prestop but StopTask; None: the plugin's option.
        consolelog: absolute host path that gets main's and exec.stop's output as well.
        exec_fib: routing table of commands inside.
        jail_user: who commands inside run as; None: Nomad's ``user``, else root.
        system_jail_user: look ``jail_user`` up on the host instead of in the jail.
        system_user: who host hooks run as; None: root.
        mount_devfs: mount devfs on /dev.
        mount_fdescfs: mount fdescfs on /dev/fd.
        mount_procfs: mount procfs on /proc.
        devfs_ruleset: ruleset for that devfs; None: 4, jail(8)'s own.
        mounts: further mounts, in order.
        mount_fstab: host file with more mounts; ``settle`` reads it once and puts them into ``mounts``.
        ip_hostname: look host.hostname up; ``settle`` does so once and fills the address fields.
        nic: interface for addresses that name none; already applied to those written in the job.
        zfs_datasets: datasets handed to the jail before main starts.
        rules: rctl rules; those of Nomad's resources are added at the start.
        cpus: processors of the jail as cpuset(1) takes them, from Nomad's resources; empty: all.
        notices: what the job's author should know (old spellings, keys without effect); for task events.
    """

    path: str | None = None
    params: Mapping[str, str | None] = field(default_factory=dict)
    ip4_addrs: tuple[AddressWanted, ...] = ()
    ip6_addrs: tuple[AddressWanted, ...] = ()
    vnet: bool = False
    vnet_interfaces: tuple[str, ...] = ()
    bridge: str | None = None
    gateways: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    path_readonly: bool = False
    work_dir: str | None = None
    hooks: Mapping[str, tuple[Command, ...]] = field(default_factory=dict)
    start: tuple[Command, ...] = ()
    persist: bool = False
    exec_timeout_s: float | None = None
    stop_timeout_s: float | None = None
    consolelog: str | None = None
    exec_fib: int | None = None
    jail_user: str | None = None
    system_jail_user: bool = False
    system_user: str | None = None
    mount_devfs: bool = False
    mount_fdescfs: bool = False
    mount_procfs: bool = False
    devfs_ruleset: int | None = None
    mounts: tuple[FstabMount, ...] = ()
    mount_fstab: str | None = None
    ip_hostname: bool = False
    nic: str | None = None
    zfs_datasets: tuple[str, ...] = ()
    rules: tuple[RctlRule, ...] = ()
    cpus: str = ""
    notices: tuple[str, ...] = ()
