"""What sysctl(8) knows: one table, half of it worked out from Linux."""

import os
import time

from jail_linux import parameters, release
from jail_linux.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_KINDS = {"text": "string", "ip4": "opaque", "ip6": "opaque"}
_NODE_TEXTS = {
    "security.jail.param": "Jail parameters",
    "security.jail.param.mac": "Jail parameters for MAC policy controls",
    "security.jail.param.linux": "Jail Linux parameters",
    "security.jail.param.allow": "Jail permission flags",
    "security.jail.param.allow.mount": "Jail mount/unmount permission flags",
    "security.jail.param.ip4": "Jail IPv4 address virtualization",
    "security.jail.param.ip6": "Jail IPv6 address virtualization",
    "security.jail.param.cpuset": "Jail cpuset",
    "security.jail.param.host": "Jail host info",
    "security.jail.param.children": "Number of child jails",
    "security.jail.param.sysvshm": "SYSV shared memory",
    "security.jail.param.sysvsem": "SYSV semaphores",
    "security.jail.param.sysvmsg": "SYSV message queues",
}


class Node:
    """One name.

    Attributes:
        name: Its name.
        kind: As `sysctl -t` says.
        description: As `sysctl -d` says.
        text: Its value; None where a plain `sysctl` shows nothing.
        raw: Its bytes for `sysctl -b`; None means those of the text.
        is_node: Whether it only groups others.
    """

    __slots__ = ("description", "is_node", "kind", "name", "raw", "text")

    def __init__(self, name: str, kind: str, text: "str | None", description: str = "") -> None:
        self.name = name
        self.kind = kind
        self.text = text
        self.description = description
        self.raw: bytes | None = None
        self.is_node = kind == "node"
        if kind == "integer" and text is not None:
            self.raw = int(text).to_bytes(4, "little", signed=True)


def table(settings: "Settings", wanted: list[str]) -> dict[str, Node]:
    """Work out every name that the stand-in knows, in sysctl's order.

    Args:
        settings: Of the tools directory.
        wanted: What was asked for; a value that takes long is worked out only if it is among these.

    Returns:
        Nodes by name.
    """
    nodes = [*_kernel(settings), *_slow(wanted), *_host(), *_jail()]
    return {node.name: node for node in nodes}


def _kernel(settings: "Settings") -> list[Node]:
    boot_id = Node("kern.boot_id", "opaque", None, "Random boot ID")
    uuid = settings.boot_id or read_file("/proc/sys/kernel/random/boot_id") or ""
    boot_id.raw = bytes.fromhex(uuid.strip().replace("-", ""))
    return [
        Node("kern.ostype", "string", release.OSTYPE, "Operating system type"),
        Node("kern.osrelease", "string", release.OSRELEASE, "Operating system release"),
        Node("kern.version", "string", f"FreeBSD {release.OSRELEASE} (Linux stand-in)", "Kernel version"),
        Node("kern.hostname", "string", os.uname().nodename, "Hostname"),
        Node("kern.osreldate", "integer", str(release.OSRELDATE), "Kernel release date"),
        _boottime(),
        boot_id,
        Node("kern.hostuuid", "string", "00000000-0000-0000-0000-000000000000", "Host UUID"),
        Node("kern.racct.enable", "integer", str(int(settings.racct)), "Enable RACCT/RCTL"),
        Node("kern.features.rctl", "integer", "1", "Resource Limits"),
        Node("kern.features.racct", "integer", "1", "Resource Accounting"),
        Node("kern.features.vimage", "integer", "1", "VIMAGE kernel virtualization"),
    ]


def _slow(wanted: list[str]) -> list[Node]:
    nodes = []
    if any("kern.racct.enforced".startswith(name) for name in wanted):
        from jail_linux import limits

        # FreeBSD enforces what it accepts, and has no such name; Linux can do only some of it.
        text = " ".join(limits.enforced())
        nodes.append(Node("kern.racct.enforced", "string", text, "Limits that Linux enforces"))
    if any("hw.clockrate".startswith(name) for name in wanted):
        nodes.append(Node("hw.clockrate", "integer", str(_clock_mhz()), "CPU instruction clock rate"))
    return nodes


def _boottime() -> Node:
    """kern.boottime: now less the uptime, so that a stepped clock moves it as on FreeBSD."""
    now_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    seconds, microseconds = divmod(now_ns // 1000, 1_000_000)
    when = time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(seconds))
    node = Node(
        "kern.boottime", "opaque", f"{{ sec = {seconds}, usec = {microseconds} }} {when}", "System boottime"
    )
    node.raw = seconds.to_bytes(8, "little") + microseconds.to_bytes(8, "little")
    return node


def _host() -> list[Node]:
    page = os.sysconf("SC_PAGE_SIZE")
    machine = os.uname().machine
    return [
        Node(
            "hw.machine",
            "string",
            {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
            "Machine class",
        ),
        Node("hw.machine_arch", "string", {"x86_64": "amd64"}.get(machine, machine), "System architecture"),
        Node("net.fibs", "unsigned integer", "1", "set number of fibs"),
        Node("hw.ncpu", "integer", str(os.cpu_count() or 1), "Number of active CPUs"),
        Node(
            "hw.physmem",
            "unsigned long",
            str(os.sysconf("SC_PHYS_PAGES") * page),
            "Amount of physical memory (in bytes)",
        ),
        Node("hw.pagesize", "integer", str(page), "System memory page size"),
    ]


def _clock_mhz() -> int:
    """The first processor's clock; 0 where Linux does not say."""
    for line in (read_file("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "cpu MHz":
            return int(float(value))
    return 0


def _jail() -> list[Node]:
    prefix = "security.jail.param."
    nodes = {name: Node(name, "node", None, text) for name, text in _NODE_TEXTS.items()}
    for name, kind, size, _, _, description in parameters.TABLE:
        # A parameter that has others below it is the leaf with an empty last name, as `allow.mount.`.
        leaf = prefix + name + ("." if prefix + name in nodes else "")
        value = None if kind in {"ip4", "ip6"} else str(size)
        nodes[leaf] = Node(leaf, _KINDS.get(kind, "integer"), value, description)
    rest = [
        Node("security.jail.children.cur", "integer", "0", "Current number of child jails"),
        Node("security.jail.children.max", "integer", "999999", "Maximum number of child jails"),
        Node(
            "security.jail.enforce_statfs",
            "integer",
            "2",
            "Processes in jail cannot see all mounted file systems",
        ),
        Node(
            "security.jail.jail_max_af_ips",
            "integer",
            "255",
            "Number of IP addresses a jail may have at most per address family",
        ),
        Node("security.jail.vnet", "integer", "0", "Jail owns vnet?"),
        Node("security.jail.jailed", "integer", "0", "Process in jail?"),
    ]
    return [*nodes.values(), *rest]
