"""What Linux can do about rctl rules: resource limits of each process, and cgroups for whole jails.

| rule | by |
|---|---|
| vmemoryuse, openfiles, coredumpsize, datasize, stacksize, memorylocked : deny | setrlimit(2), each process |
| cputime : sigxcpu, sigkill | setrlimit(2), each process |
| maxproc, nthr : deny | cgroup pids.max, the whole jail; threads count |
| memoryuse : sigkill | cgroup memory.max, the whole jail; the kernel kills one process |
| memoryuse : devctl | the kernel's message of such a kill, see `devd` |
| memoryuse : deny | cgroup memory.high (v2): pushed out, never killed |
| pcpu : deny | cgroup cpu.max, the whole jail |

Everything else is kept and shown but limits nothing.
"""

import os
import resource

from jail_linux import cgroup, members, rules
from jail_linux.registry import Jail, Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.rules import Rule

_DENY = {
    "vmemoryuse": resource.RLIMIT_AS,
    "openfiles": resource.RLIMIT_NOFILE,
    "coredumpsize": resource.RLIMIT_CORE,
    "datasize": resource.RLIMIT_DATA,
    "stacksize": resource.RLIMIT_STACK,
    "memorylocked": resource.RLIMIT_MEMLOCK,
}
_CPU_PERIOD_US = 100_000
_MIN_PIDS = 1


def enforced() -> list[str]:
    """What this machine can do: resource:action:per, with `/process` where a jail's limit is each process's."""
    from jail_linux import devd

    each = [f"{name}:deny" for name in _DENY] + ["cputime:sigxcpu", "cputime:sigkill"]
    found = [f"{rule}:{per}" for rule in each for per in ("process", "jail/process")]
    if cgroup.has("pids"):
        found += ["maxproc:deny:jail", "nthr:deny:jail"]
    if cgroup.has("memory"):
        found += ["memoryuse:sigkill:jail", *(["memoryuse:devctl:jail"] if devd.has_source() else [])]
    if cgroup.has("memory", 2):
        found.append("memoryuse:deny:jail")
    if cgroup.has("cpu"):
        found.append("pcpu:deny:jail")
    return found


def join(registry: Registry, jail: Jail) -> dict[int, tuple[int, int]]:
    """Put this process, which is about to enter a jail, into the jail's cgroups.

    Args:
        registry: Held, shared is enough.
        jail: The jail.

    Returns:
        Limits for `apply`, which may leave no descriptor or memory for anything but the program itself.
    """
    held = rules.of_jail(registry, jail.name)
    if held:
        _set_cgroups(registry, jail, held)
        cgroup.join(registry, jail, [os.getpid()])
    return _rlimits(held)


def apply(pairs: dict[int, tuple[int, int]]) -> None:
    """Limit this process."""
    for kind, pair in pairs.items():
        _limit(0, kind, pair)


def apply_to_members(registry: Registry, jail: Jail) -> None:
    """Make the rules of a jail felt by the processes that are inside already.

    A limit that is gone is lifted for the whole jail (cgroups), but stays on processes that had it.

    Args:
        registry: Held exclusively.
        jail: A living jail.
    """
    held = rules.of_jail(registry, jail.name)
    _set_cgroups(registry, jail, held)
    inside = members.of(jail.uts)
    if held:
        cgroup.join(registry, jail, inside)
    for kind, pair in _rlimits(held).items():
        for process in inside:
            _limit(process, kind, pair)


def _limit(process: int, kind: int, pair: tuple[int, int]) -> None:
    """Lower a limit; it is never raised, which would need a privilege and a reason."""
    try:
        _, old = resource.prlimit(process, kind)
        low, high = (value if old == resource.RLIM_INFINITY else min(value, old) for value in pair)
        resource.prlimit(process, kind, (low, high if high != -1 else old))
    except (ProcessLookupError, PermissionError, ValueError):
        pass


def _rlimits(held: "list[Rule]") -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for rule in held:
        amount = min(rule.amount or 0, 2**62)
        if rule.action == "deny" and rule.resource in _DENY:
            kind = _DENY[rule.resource]
            low, high = found.get(kind, (amount, amount))
            found[kind] = (min(low, amount), min(high, amount))
        elif rule.resource == "cputime" and rule.action in {"sigkill", "sigxcpu"}:
            found[resource.RLIMIT_CPU] = (amount, amount if rule.action == "sigkill" else amount + 3600)
    return found


def _least(held: "list[Rule]", resources: set[str], action: str) -> "int | None":
    """The smallest amount of the rules that hold for a whole jail."""
    amounts = [
        rule.amount
        for rule in held
        if rule.resource in resources
        and rule.action == action
        and rule.per == "jail"
        and rule.amount is not None
    ]
    return min(amounts) if amounts else None


def _set_cgroups(registry: Registry, jail: Jail, held: "list[Rule]") -> None:
    pids = _least(held, {"maxproc", "nthr"}, "deny")
    kill = _least(held, {"memoryuse"}, "sigkill")
    push = _least(held, {"memoryuse"}, "deny")
    cpu = _least(held, {"pcpu"}, "deny")
    wanted: dict[str, list[tuple[str, str]]] = {
        "pids": [("pids.max", "max" if pids is None else str(max(pids, _MIN_PIDS)))],
        "memory": [
            ("memory.high|memory.soft_limit_in_bytes", "max" if push is None else str(push)),
            ("memory.max|memory.limit_in_bytes", "max" if kill is None else str(kill)),
            ("memory.swap.max|memory.memsw.limit_in_bytes", "max" if kill is None else f"0|{kill}"),
        ],
        "cpu": [
            (
                "cpu.max|cpu.cfs_quota_us",
                "max" if cpu is None else f"{_quota(cpu)} {_CPU_PERIOD_US}|{_quota(cpu)}",
            )
        ],
    }
    present = {"pids": pids, "memory": kill if kill is not None else push, "cpu": cpu}
    for controller, values in wanted.items():
        if present[controller] is not None or cgroup.is_used(registry, jail, controller):
            cgroup.configure(registry, jail, controller, values)


def _quota(percent: int) -> int:
    return max(percent, 1) * _CPU_PERIOD_US // 100
