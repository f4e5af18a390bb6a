"""The jail parameters that this stand-in's kernel has: one table for jail, jls and sysctl.

Names, types, sizes, defaults and descriptions are those that a FreeBSD 15.1 GENERIC kernel showed in
`sysctl -d security.jail.param`, `sysctl -t …` and `jls -n`, without what loadable modules add.
"""

from jail_linux.failure import Failure
from jail_linux.release import OSRELDATE, OSRELEASE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.registry import Jail

INT, TEXT, BOOL, SYS, SYS3, ADDR4, ADDR6 = "int", "text", "bool", "jailsys", "jailsys+disable", "ip4", "ip6"
_UUID = "00000000-0000-0000-0000-000000000000"

# name, kind, size that sysctl shows, default, whether jail(8) can set it, description
TABLE: tuple[tuple[str, str, int, str, bool, str], ...] = (
    ("linux.oss_version", INT, 0, "198144", True, "Jail Linux OSS version"),
    ("linux.osrelease", TEXT, 65, "5.15.0", True, "Jail Linux kernel OS release"),
    ("linux.osname", TEXT, 65, "Linux", True, "Jail Linux kernel OS name"),
    ("linux", SYS, 0, "new", True, "Jail Linux parameters"),
    ("sysvshm", SYS3, 0, "disable", True, "SYSV shared memory"),
    ("sysvsem", SYS3, 0, "disable", True, "SYSV semaphores"),
    ("sysvmsg", SYS3, 0, "disable", True, "SYSV message queues"),
    ("env", TEXT, 4096, "", True, "Jail meta information readable by the jail"),
    ("meta", TEXT, 4096, "", True, "Jail meta information hidden from the jail"),
    ("allow.mount.fdescfs", BOOL, 0, "false", True, "Jail may mount the fdescfs file system"),
    ("allow.mount.nullfs", BOOL, 0, "false", True, "Jail may mount the nullfs file system"),
    ("allow.mount.linsysfs", BOOL, 0, "false", True, "Jail may mount the linsysfs file system"),
    ("allow.mount.linprocfs", BOOL, 0, "false", True, "Jail may mount the linprocfs file system"),
    ("allow.mount.tmpfs", BOOL, 0, "false", True, "Jail may mount the tmpfs file system"),
    ("allow.mount.procfs", BOOL, 0, "false", True, "Jail may mount the procfs file system"),
    ("allow.mount.devfs", BOOL, 0, "false", True, "Jail may mount the devfs file system"),
    ("allow.mount", BOOL, 0, "false", True, "Jail may mount/unmount jail-friendly file systems in general"),
    ("allow.setaudit", BOOL, 0, "false", True, "Jail may set and get audit session state"),
    ("allow.routing", BOOL, 0, "false", True, "Jail may modify routing table"),
    ("allow.settime", BOOL, 0, "false", True, "Jail may set system time"),
    ("allow.adjtime", BOOL, 0, "false", True, "Jail may adjust system time"),
    ("allow.extattr", BOOL, 0, "true", True, "Jail may set system-level filesystem extended attributes"),
    ("allow.nfsd", BOOL, 0, "false", True, "Mountd/nfsd may run in the jail"),
    ("allow.suser", BOOL, 0, "true", True, "Processes in jail with uid 0 have privilege"),
    (
        "allow.unprivileged_parent_tampering",
        BOOL,
        0,
        "false",
        True,
        "Unprivileged parent jail processes may tamper with same-uid processes (signal/debug/cpuset)",
    ),
    (
        "allow.unprivileged_proc_debug",
        BOOL,
        0,
        "true",
        True,
        "Unprivileged processes may use process debugging facilities",
    ),
    ("allow.read_msgbuf", BOOL, 0, "false", True, "Jail may read the kernel message buffer"),
    ("allow.reserved_ports", BOOL, 0, "true", True, "Jail may bind sockets to reserved ports"),
    ("allow.mlock", BOOL, 0, "false", True, "Jail may lock (unlock) physical pages in memory"),
    (
        "allow.socket_af",
        BOOL,
        0,
        "false",
        True,
        "Jail may create sockets other than just UNIX/IPv4/IPv6/route",
    ),
    ("allow.quotas", BOOL, 0, "false", True, "Jail may set file quotas"),
    ("allow.chflags", BOOL, 0, "false", True, "Jail may alter system file flags"),
    ("allow.raw_sockets", BOOL, 0, "false", True, "Jail may create raw sockets"),
    ("allow.sysvipc", BOOL, 0, "false", True, "Jail may use SYSV IPC"),
    ("allow.set_hostname", BOOL, 0, "true", True, "Jail may set hostname"),
    (
        "ip6.saddrsel",
        BOOL,
        0,
        "true",
        True,
        "Do (not) use IPv6 source address selection rather than the primary jail IPv6 address.",
    ),
    ("ip6.addr", ADDR6, 0, "", True, "Jail IPv6 addresses"),
    ("ip6", SYS3, 0, "disable", True, "Jail IPv6 address virtualization"),
    (
        "ip4.saddrsel",
        BOOL,
        0,
        "true",
        True,
        "Do (not) use IPv4 source address selection rather than the primary jail IPv4 address.",
    ),
    ("ip4.addr", ADDR4, 0, "", True, "Jail IPv4 addresses"),
    ("ip4", SYS3, 0, "disable", True, "Jail IPv4 address virtualization"),
    ("cpuset.id", INT, 0, "", False, "Jail cpuset ID"),
    ("host.hostid", INT, 0, "0", True, "Jail host ID"),
    ("host.hostuuid", TEXT, 64, _UUID, True, "Jail host UUID"),
    ("host.domainname", TEXT, 256, "", True, "Jail NIS domainname"),
    ("host.hostname", TEXT, 256, "", True, "Jail hostname"),
    ("host", SYS, 0, "new", True, "Jail host info"),
    ("children.max", INT, 0, "0", True, "Maximum number of child jails"),
    ("children.cur", INT, 0, "0", False, "Current number of child jails"),
    ("dying", BOOL, 0, "false", False, "Jail is in the process of shutting down"),
    ("vnet", SYS, 0, "inherit", True, "Virtual network stack"),
    ("persist", BOOL, 0, "false", True, "Jail persistence"),
    ("devfs_ruleset", INT, 0, "0", True, "Ruleset for in-jail devfs mounts"),
    ("enforce_statfs", INT, 0, "2", True, "Jail cannot see all mounted file systems"),
    ("osrelease", TEXT, 32, OSRELEASE, True, "Jail value for kern.osrelease and uname -r"),
    ("osreldate", INT, 0, str(OSRELDATE), True, "Jail value for kern.osreldate and uname -K"),
    ("securelevel", INT, 0, "-1", True, "Jail secure level"),
    ("path", TEXT, 1024, "/", True, "Jail root path"),
    ("name", TEXT, 256, "", True, "Jail name"),
    ("parent", INT, 0, "0", False, "Jail parent ID"),
    ("jid", INT, 0, "", True, "Jail ID"),
)

KINDS = {row[0]: row[1] for row in TABLE}
SIZES = {row[0]: row[2] for row in TABLE}
DEFAULTS = {row[0]: row[3] for row in TABLE}
_MOST_CHILDREN = 999999
"""The host's own limit; a jail's must be smaller (kern_jail.c)."""
SETTABLE = {row[0] for row in TABLE if row[4]}


def listing() -> list[str]:
    """All names in the order in which `jls -n` shows them: plain names first, then dotted ones."""
    return sorted(KINDS, key=lambda name: ("." in name, name))


def without_no(name: str) -> "str | None":
    """Turn the negative form of a boolean (`allow.noraw_sockets`, `nopersist`) into its name, else None."""
    head, _, last = name.rpartition(".")
    if not last.startswith("no"):
        return None
    positive = f"{head}.{last[2:]}" if head else last[2:]
    return positive if KINDS.get(positive) == BOOL else None


def is_keyed(name: str) -> bool:
    """Whether a name is one entry of the text parameters meta and env, as in `meta.key`."""
    return name.startswith(("meta.", "env."))


def value_of(jail: "Jail", name: str) -> str:
    """Read a parameter of a jail as text; booleans are true or false, address lists comma separated.

    Args:
        jail: The jail.
        name: A name of the table, or a keyed one.

    Returns:
        The value, the default where it was never set.
    """
    if is_keyed(name):
        return keyed(jail.params.get(name.partition(".")[0], ""), name.partition(".")[2])
    fixed = {
        "jid": str(jail.jid),
        "name": jail.name,
        "path": jail.path,
        "parent": str(jail.parent),
        "dying": "true" if jail.dying else "false",
        "persist": "true" if jail.persist else "false",
        "cpuset.id": str(jail.jid + 2),
        "vnet": "new" if jail.net else "inherit",
    }
    if name in fixed:
        return fixed[name]
    value = jail.params.get(name, DEFAULTS[name])
    if name in {"ip4", "ip6"} and jail.net:
        return "inherit"
    if name in {"ip4", "ip6"} and value == "new":
        return "disable"  # as the kernel shows it, with addresses or without
    return value


def keyed(text: str, key: str) -> str:
    """Read one entry of a meta or env text made of key=value lines; empty where it is missing."""
    for line in text.split("\n"):
        name, _, value = line.partition("=")
        if name == key:
            return value
    return ""


def set_keyed(text: str, key: str, value: str) -> str:
    """Set one entry of a meta or env text."""
    lines = [line for line in text.split("\n") if line and line.partition("=")[0] != key]
    return "\n".join([*lines, f"{key}={value}"])


def checked(name: str, value: "str | None") -> str:
    """Check a value as jail(8) and libjail do before the kernel sees it.

    Args:
        name: A settable name of the table, in its positive form.
        value: The text after "=", None for a bare name.

    Returns:
        The value in the form that `value_of` returns.

    Raises:
        Failure: With jail(8)'s words.
    """
    kind = KINDS[name]
    if kind == BOOL:
        if value is None or value in {"1", "true"}:
            return "true"
        if value in {"0", "false"}:
            return "false"
        raise Failure(f'jail: {name}: unknown boolean value "{value}"')
    if kind in {SYS, SYS3}:
        words = {None: "new", "new": "new", "inherit": "inherit", "disable": "disable"}
        if value not in words:
            raise Failure(f'jail: {name}: unknown jailsys value "{value}"')
        if kind == SYS and value == "disable":
            raise Failure("jail: jail_set: Invalid argument")
        return words[value]
    text = value or ""
    if kind == INT:
        return _integer(name, text)
    if kind == TEXT:
        _check_text(name, text)
    return text


def _check_text(name: str, text: str) -> None:
    size = len(text.encode("utf-8", "surrogateescape"))
    if SIZES[name] and size >= SIZES[name]:
        too_long = "File too large" if name in {"meta", "env"} else "File name too long"
        raise Failure(f"jail: jail_set: {too_long}")
    if name == "osrelease" and size == SIZES[name] - 1:
        raise Failure("jail: osrelease string must be 1-31 bytes long")  # it counts the NUL, too
    if name == "linux.osrelease" and not _is_linux_release(text):
        raise Failure("jail: linux.osrelease format error")


def _is_linux_release(text: str) -> bool:
    """Whether sys/compat/linux/linux_mib.c takes it, but for the signs and blanks of strtol(3)."""
    first, second, rest = (*text.split(".", 2), "", "")[:3]
    third, dash, behind = rest.partition("-")
    numbers = all(part.isascii() and part.isdigit() for part in (first, second, third))
    return numbers and int(first) > 0 and (not dash or bool(behind))


def _integer(name: str, text: str) -> str:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise Failure(f'jail: {name}: non-integer value "{text}"')
    number = int(text)
    # host.hostid is an unsigned long in the kernel, the others are int.
    limits = {"enforce_statfs": (0, 2), "devfs_ruleset": (0, 65535), "host.hostid": (0, 2**64 - 1)}
    low, high = limits.get(name, (-(2**31), 2**32 - 1))
    if name == "osreldate" and number == 0:
        raise Failure("jail: osreldate cannot be 0")
    if (name == "children.max" and number >= _MOST_CHILDREN) or (name == "securelevel" and number < -1):
        raise Failure("jail: jail_set: Operation not permitted")
    if not low <= number <= high:
        raise Failure("jail: jail_set: Invalid argument")
    return str(number)
