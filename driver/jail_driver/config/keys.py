"""The one table of task configuration keys: schema, checks, argument list and reference page derive from it."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

from jail_driver.config.keys_kernel import ALLOW, CORE, MODULES
from jail_driver.config.kinds import Fate, Key, Kind

_hook = partial(Key, kind=Kind.COMMANDS, guarded=True)
_word = partial(Key, kind=Kind.WORD)
_switch = partial(Key, kind=Kind.SWITCH)
_special = partial(Key, kind=Kind.SPECIAL)
_alias = partial(Key, param="", kind=Kind.SPECIAL, doc="", fate=Fate.ALIAS)

COMMANDS = (
    _hook("Exec_prepare", "exec.prepare", doc="Host: before addresses and mounts.", since="13.0"),
    _hook("Exec_prestart", "exec.prestart", doc="Host: before the jail is created; mounts are there."),
    _hook("Exec_created", "exec.created", doc="Host: right after the jail was created.", since="12.0"),
    _special("Exec_start", "exec.start", doc="Inside: all but the last command run to their end, the last one is the task's main process."),
    _special("Command", "command", doc="Main as a list of arguments, executed without any splitting; text is split as Exec_start's. Runs after Exec_start's commands."),
    _hook("Exec_poststart", "exec.poststart", doc="Host: after main was started."),
    _hook("Exec_prestop", "exec.prestop", doc="Host: before the task is stopped."),
    Key("Exec_stop", "exec.stop", Kind.COMMANDS, "Inside: before the kill signal."),
    _hook("Exec_poststop", "exec.poststop", doc="Host: after the jail was removed."),
    _hook("Exec_release", "exec.release", doc="Host: last of all, mounts and addresses are gone.", since="13.0"),
    _switch("Exec_clean", "exec.clean", doc="Nothing to do: hooks and main never inherit the agent's environment.", fate=Fate.IDLE, instead="commands always get a small environment of their own"),
    _word("Exec_jail_user", "exec.jail_user", doc="User of the commands inside, main included, looked up in the jail."),
    _switch("Exec_system_jail_user", "exec.system_jail_user", doc="Look Exec_jail_user up on the host."),
    _word("Exec_system_user", "exec.system_user", doc="User of the hooks on the host."),
    Key("Exec_timeout", "exec.timeout", Kind.SECONDS, "Limit of each hook; 0: none. Never limits main. Default: the plugin option hook_timeout."),
    _word("Exec_consolelog", "exec.consolelog", doc="Absolute host file that gets the output of main and Exec_stop besides Nomad's log."),
    Key("Exec_fib", "exec.fib", Kind.NUMBER, "Routing table of the commands inside.", high=65535),
    Key("Stop_timeout", "stop.timeout", Kind.SECONDS, "Grace after the kill signal where Nomad gives none (a failed start, a lost jail); 0 kills at once. For a stop that Nomad asks for, kill_timeout rules. Default: the plugin option kill_timeout."),
)  # fmt: skip

NETWORK_AND_FILES = (
    _word("Nic", "interface", doc="Interface for addresses that name none.", max_bytes=15),
    Key("Vnet_nic", "vnet.interface", Kind.LIST, "Interfaces to move into the jail (needs Vnet)."),
    _word("Bridge", "", doc="Bridge of the host that the jail is joined to by a pair of interfaces, made and destroyed by the driver (needs Vnet).", max_bytes=15),
    Key("Gateway", "", Kind.LIST, "Default routes inside, one a family, beside Ip4_addr or Ip6_addr (needs Vnet)."),
    Key("Hosts", "", Kind.LIST, 'Lines of hosts(5), as "192.0.2.5 db db.example.org": the task gets an /etc/hosts of its own, with localhost and its own name.'),
    _switch("Path_readonly", "", doc="Show Path read-only. Mount points that it lacks are made in Path itself."),
    _word("Work_dir", "", doc="Working directory of the commands inside, an absolute path in the jail; needs a /bin/sh there. Default: /."),
    _switch("Ip_hostname", "ip_hostname", doc="Look Host_hostname up once, at start, and add its addresses."),
    Key("Mount", "mount", Kind.LIST, "Mounts as fstab(5) lines; the target is a path inside, or one below Path.", guarded=True),
    _word("Mount_fstab", "mount.fstab", doc="fstab(5) file on the host with more mounts, read once, at start.", guarded=True),
    _switch("Mount_devfs", "mount.devfs", doc="Mount devfs on /dev, with ruleset Devfs_ruleset or 4."),
    _switch("Mount_fdescfs", "mount.fdescfs", doc="Mount fdescfs on /dev/fd."),
    _switch("Mount_procfs", "mount.procfs", doc="Mount procfs on /proc."),
    Key("Zfs_dataset", "zfs.dataset", Kind.LIST, "ZFS datasets handed to the jail (needs Allow_mount_zfs).", since="15.0", module="zfs", guarded=True),
    _special("Rctl", "", doc="Resource limits of rctl(8), see below."),
    _special("Params", "", doc='Parameters that this table does not know: { "name" = "value" }, if the running kernel has them.', guarded=True),
    _switch("Allow_dying", "allow.dying", doc="Act on dying jails.", fate=Fate.IDLE, instead="a dying jail never stands in the way: the driver's names are unique"),
    _special("Depend", "depend", doc="Jails to start first.", fate=Fate.REFUSED, instead="jails of Nomad are not in jail.conf(5); order tasks with a lifecycle block, wait for services with a check or in an Exec_prestart hook"),
    _special("Docker", "", doc="Docker image of the Go original.", fate=Fate.REFUSED, instead="a jail needs a directory: unpack the image with Nomad's artifact block (or beforehand on the host) and name it in Path"),
)  # fmt: skip

SPELLINGS = (
    _alias("Allow_read_msgbug", instead="Allow_read_msgbuf"),
    _alias("Allow_mount_fdescds", instead="Allow_mount_fdescfs"),
    _alias("Ip4addr", instead="Ip4_addr"),
    _alias("Interface", instead="Nic"),
    _alias("Vnet_interface", instead="Vnet_nic"),
)
"""Misspelt in the Go original's schema, in its manual's prose, and jail(8)'s own names."""

KEYS: tuple[Key, ...] = (*CORE, *COMMANDS, *NETWORK_AND_FILES, *ALLOW, *MODULES, *SPELLINGS)
BY_NAME = MappingProxyType({key.name: key for key in KEYS})
BY_PARAM = MappingProxyType({key.param: key for key in KEYS if key.param})
