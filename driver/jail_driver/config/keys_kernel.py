"""The part of the key table that the kernel answers for: jail(8)'s core and module parameters.

Sources: jail(8) and sys/kern/kern_jail.c of FreeBSD 12 to 15, and the list that ``sysctl -N
security.jail.param`` prints on 15.1, where each bound was tried. ``since`` is for error texts only: what
counts is what the running kernel lists.
"""

from __future__ import annotations

from functools import partial

from jail_driver.config.kinds import Fate, Key, Kind

_SYSTEM_OR_NEW = ("inherit", "new")
_SYSTEM_NEW_OR_NONE = ("inherit", "new", "disable")

_flag = partial(Key, kind=Kind.FLAG)
_text = partial(Key, kind=Kind.TEXT)
_int = partial(Key, kind=Kind.INT)
_choice = partial(Key, kind=Kind.CHOICE)
_special = partial(Key, kind=Kind.SPECIAL)
_refused = partial(Key, kind=Kind.SPECIAL, fate=Fate.REFUSED)

CORE = (
    _special("Path", "path", doc="Directory on the host that becomes the jail's root. Default: the task's own directory.", create_only=True),
    _int("Jid", "jid", doc="The jail's number. Leave it out: the kernel chooses.", low=1, high=999999, create_only=True, guarded=True),
    _refused("Name", "name", doc="The jail's name.", instead="the driver names the jail after Nomad's task id; read it with state-dump"),
    _refused("Parent", "parent", doc="The enclosing jail.", instead="it is read-only in the kernel"),
    _refused("Children_cur", "children.cur", doc="Number of child jails now.", instead="it is read-only in the kernel; Children_max sets the limit"),
    _refused("Cpuset_id", "cpuset.id", doc="The jail's cpuset.", instead='it is read-only in the kernel; "cores" in Nomad\'s resources block pins the task'),
    _refused("Dying", "dying", doc="Whether the jail is going away.", instead="it is read-only in the kernel"),
    _refused("Desc", "desc", doc="A jail descriptor.", since="15.0", instead="it is a handle for C programs, not a setting"),
    _choice("Ip4", "ip4", doc='IPv4: "inherit" uses all host addresses, "new" only those of Ip4_addr, "disable" none.', choices=_SYSTEM_NEW_OR_NONE, create_only=True),
    _special("Ip4_addr", "ip4.addr", doc='IPv4 addresses, each "[interface|]address[/prefix]"; several as a list or with commas. With Vnet they are set inside, on an interface of Vnet_nic or Bridge.'),
    _flag("Ip4_saddrsel", "ip4.saddrsel", doc="Choose source addresses as the host does; off: always the first address.", default_on=True),
    _choice("Ip6", "ip6", doc="IPv6, as Ip4.", choices=_SYSTEM_NEW_OR_NONE, create_only=True),
    _special("Ip6_addr", "ip6.addr", doc="IPv6 addresses, as Ip4_addr."),
    _flag("Ip6_saddrsel", "ip6.saddrsel", doc="As Ip4_saddrsel.", default_on=True),
    _special("Vnet", "vnet", doc='Own network stack: true or "new"; "inherit" or false: the host\'s.', create_only=True),
    _choice("Host", "host", doc='"inherit": the host\'s name and ids; "new": its own.', choices=_SYSTEM_OR_NEW),
    _text("Host_hostname", "host.hostname", doc="Hostname inside.", max_bytes=255),
    _text("Host_domainname", "host.domainname", doc="NIS domain name inside.", max_bytes=255),
    _text("Host_hostuuid", "host.hostuuid", doc="Host UUID inside.", max_bytes=63),
    _int("Host_hostid", "host.hostid", doc="Host id inside.", high=2**64 - 1),
    _int("Securelevel", "securelevel", doc="Lowest kern.securelevel inside; it can only be raised.", low=-1, high=3),
    _int("Devfs_ruleset", "devfs_ruleset", doc="Ruleset of devfs mounts for the jail.", high=65535, guarded=True),
    _int("Enforce_statfs", "enforce_statfs", doc="Mount points visible inside: 2 only the root's, 1 those below it, 0 all.", high=2, guarded=True),
    _int("Children_max", "children.max", doc="Child jails that the jail may create.", high=999998, guarded=True),
    _special("Persist", "persist", doc="The task lives until it is stopped, even when Exec_start has ended with status 0 or there is none."),
    _text("Osrelease", "osrelease", doc="kern.osrelease inside (uname -r).", max_bytes=30, create_only=True),
    _int("Osreldate", "osreldate", doc="kern.osreldate inside (uname -K).", low=1, create_only=True),
    Key("Meta", "meta", Kind.PAIRS, "Free text kept with the jail, hidden inside.", since="15.0"),
    Key("Env", "env", Kind.PAIRS, "Free text kept with the jail, readable inside as sysctl security.jail.env.", since="15.0"),
    _text("Mac_label", "mac.label", doc="MAC label of the jail.", since="after 15.1", guarded=True),
)  # fmt: skip

ALLOW = (
    _flag("Allow_set_hostname", "allow.set_hostname", doc="root inside may change the hostname.", default_on=True),
    _flag("Allow_sysvipc", "allow.sysvipc", doc="System V IPC of the host (Sysvmsg, Sysvsem, Sysvshm are finer).", guarded=True),
    _flag("Allow_raw_sockets", "allow.raw_sockets", doc="Raw sockets, as ping(8) needs.", guarded=True),
    _flag("Allow_chflags", "allow.chflags", doc="System file flags may be changed inside.", guarded=True),
    _flag("Allow_mount", "allow.mount", doc="root inside may mount jail-friendly file systems (needs Enforce_statfs below 2).", guarded=True),
    _flag("Allow_mount_devfs", "allow.mount.devfs", doc="devfs may be mounted inside.", guarded=True),
    _flag("Allow_mount_fdescfs", "allow.mount.fdescfs", doc="fdescfs may be mounted inside.", module="fdescfs", guarded=True),
    _flag("Allow_mount_fusefs", "allow.mount.fusefs", doc="FUSE file systems may be mounted inside.", module="fusefs", guarded=True),
    _flag("Allow_mount_nullfs", "allow.mount.nullfs", doc="nullfs may be mounted inside.", module="nullfs", guarded=True),
    _flag("Allow_mount_procfs", "allow.mount.procfs", doc="procfs may be mounted inside.", module="procfs", guarded=True),
    _flag("Allow_mount_linprocfs", "allow.mount.linprocfs", doc="linprocfs may be mounted inside.", module="linprocfs", guarded=True),
    _flag("Allow_mount_linsysfs", "allow.mount.linsysfs", doc="linsysfs may be mounted inside.", module="linsysfs", guarded=True),
    _flag("Allow_mount_p9fs", "allow.mount.p9fs", doc="p9fs may be mounted inside.", since="15.0", module="p9fs", guarded=True),
    _flag("Allow_mount_tmpfs", "allow.mount.tmpfs", doc="tmpfs may be mounted inside.", module="tmpfs", guarded=True),
    _flag("Allow_mount_zfs", "allow.mount.zfs", doc="ZFS datasets may be mounted inside.", module="zfs", guarded=True),
    _flag("Allow_quotas", "allow.quotas", doc="root inside may set quotas on the jail's file systems.", guarded=True),
    _flag("Allow_socket_af", "allow.socket_af", doc="Sockets of other families than IPv4, IPv6, local and route.", guarded=True),
    _flag("Allow_mlock", "allow.mlock", doc="Memory may be locked.", guarded=True),
    _flag("Allow_reserved_ports", "allow.reserved_ports", doc="root inside may bind ports below 1024.", default_on=True),
    _flag("Allow_read_msgbuf", "allow.read_msgbuf", doc="The kernel's message buffer may be read.", guarded=True),
    _flag("Allow_unprivileged_proc_debug", "allow.unprivileged_proc_debug", doc="Ordinary users inside may debug their processes.", since="12.1", default_on=True),
    _flag("Allow_suser", "allow.suser", doc="root inside has root's privileges at all.", since="13.0", default_on=True),
    _flag("Allow_nfsd", "allow.nfsd", doc="NFS server inside (vnet only).", since="13.3", guarded=True),
    _flag("Allow_extattr", "allow.extattr", doc="System extended attributes may be set.", since="14 or 15", guarded=True),
    _flag("Allow_adjtime", "allow.adjtime", doc="The host's clock may be slewed.", since="14 or 15", guarded=True),
    _flag("Allow_settime", "allow.settime", doc="The host's clock may be set.", since="14 or 15", guarded=True),
    _flag("Allow_routing", "allow.routing", doc="The routing table may be changed without vnet.", since="15.0", guarded=True),
    _flag("Allow_setaudit", "allow.setaudit", doc="Audit session state may be set.", since="15.1", guarded=True),
    _flag("Allow_unprivileged_parent_tampering", "allow.unprivileged_parent_tampering", doc="Users outside may signal and debug processes of the same uid inside.", since="15.0", guarded=True),
    _flag("Allow_vmm", "allow.vmm", doc="bhyve(8) may run inside.", since="12.0", module="vmm", guarded=True),
    _flag("Allow_vmm_ppt", "allow.vmm_ppt", doc="bhyve(8) inside may pass PCI devices through.", since="15.1", module="vmm", guarded=True),
)  # fmt: skip

MODULES = (
    _choice("Linux", "linux", doc="Linux identity: the host's or its own.", choices=_SYSTEM_OR_NEW, module="linux64"),
    _text("Linux_osname", "linux.osname", doc="Linux system name.", max_bytes=64, module="linux64"),
    _text("Linux_osrelease", "linux.osrelease", doc="Linux release.", max_bytes=64, module="linux64"),
    _int("Linux_oss_version", "linux.oss_version", doc="Version of the Open Sound System.", module="linux64"),
    _choice("Sysvmsg", "sysvmsg", doc="System V messages: the host's, its own, or none.", choices=_SYSTEM_NEW_OR_NONE, module="sysvmsg"),
    _choice("Sysvsem", "sysvsem", doc="System V semaphores, as Sysvmsg.", choices=_SYSTEM_NEW_OR_NONE, module="sysvsem"),
    _choice("Sysvshm", "sysvshm", doc="System V shared memory, as Sysvmsg.", choices=_SYSTEM_NEW_OR_NONE, module="sysvshm"),
    _choice("Zfs", "zfs", doc="ZFS settings: the host's or its own.", choices=_SYSTEM_NEW_OR_NONE, since="14 or 15", module="zfs"),
    _int("Zfs_mount_snapshot", "zfs.mount_snapshot", doc="1: snapshots under .zfs may be read and mounted.", high=1, since="14 or 15", module="zfs", guarded=True),
    _choice("Mac_do", "mac.do", doc="Credential rules of mac_do(4): the host's, its own, or none.", choices=_SYSTEM_NEW_OR_NONE, since="14 or 15", module="mac_do", guarded=True),
    _text("Mac_do_rules", "mac.do.rules", doc="The rules.", since="14 or 15", module="mac_do", guarded=True),
    _text("Mac_do_exec_paths", "mac.do.exec_paths", doc="Programs that may use them.", since="15.1", module="mac_do", guarded=True),
)  # fmt: skip
