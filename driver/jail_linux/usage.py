"""What a jail uses, in the words of `rctl -u`, added up from /proc."""

import os

from jail_linux import members
from jail_linux.files import read_file, write_file
from jail_linux.registry import Jail, Registry, uptime
from jail_linux.rules import RESOURCES, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_STATUS = {
    "VmData:": "datasize",
    "VmStk:": "stacksize",
    "VmRSS:": "memoryuse",
    "VmLck:": "memorylocked",
    "VmSize:": "vmemoryuse",
    "VmSwap:": "swapuse",
    "Threads:": "nthr",
}
_IO = {"read_bytes:": "readbps", "write_bytes:": "writebps", "syscr:": "readiops", "syscw:": "writeiops"}
_inside: "dict[int, list[int]] | None" = None
_RATES = (*_IO.values(), "pcpu")


def measure(settings: "Settings", rule: Rule) -> "dict[str, int] | None":
    """Add up what the processes of a jail, or one process, use now.

    Rates are means since the last look, at first over the processes' lives.

    Args:
        settings: Of the tools directory.
        rule: The filter; its ident names a jail or a process.

    Returns:
        All resources in RACCT's order; zeros for a jail that does not exist; None for a missing process.
    """
    amounts = dict.fromkeys(RESOURCES, 0)
    if rule.subject == "process":
        if not _add_process(amounts, int(rule.ident or 0)):
            return None
        return _as_rates(amounts, None, 0.0)
    with Registry(settings, exclusive=False) as registry:
        jail = registry.named(rule.ident or "")
        if jail is None or jail.name != rule.ident:
            return amounts
        for process in members.of(jail.uts) if _inside is None else _inside.get(jail.uts, ()):
            _add_process(amounts, process)
        return _since_last(registry, jail, amounts)


def look_once() -> None:
    """Look for the members of all jails now, so that each `measure` that follows need not."""
    global _inside  # noqa: PLW0603  # one run is one look
    _inside = members.by_namespace()


def _since_last(registry: Registry, jail: Jail, amounts: dict[str, int]) -> dict[str, int]:
    path = f"{registry.folder(jail.jid)}/usage"
    now_s = uptime()
    old = (read_file(path) or "").split()
    last = {name: int(value) for name, value in zip(_RATES, old[1:], strict=False)} if old else None
    elapsed_s = now_s - float(old[0]) if old else 0.0
    write_file(path, " ".join([f"{now_s:.3f}", *(str(amounts[name]) for name in _RATES)]))
    return _as_rates(amounts, last, elapsed_s)


def _as_rates(amounts: dict[str, int], last: "dict[str, int] | None", elapsed_s: float) -> dict[str, int]:
    """Turn running totals (pcpu in hundredths of a second) into amounts a second."""
    for name in _RATES:
        total = amounts[name]
        span_s = elapsed_s if last and elapsed_s > 0 else float(amounts["wallclock"] or 1)
        grown = max(0, total - last[name]) if last else total
        amounts[name] = int(grown / span_s)
    return amounts


def _add_process(amounts: dict[str, int], process: int) -> bool:
    """Add one process; False if it is gone or not ours to read."""
    try:
        stat = _read(process, "stat").rpartition(")")[2].split()
        lines = [line.split() for line in _read(process, "status").splitlines()]
        inputs = [line.split() for line in _read(process, "io").splitlines()]
        files = len(os.listdir(f"/proc/{process}/fd"))
    except (OSError, IndexError):
        return False
    ticks = os.sysconf("SC_CLK_TCK")
    used = int(stat[11]) + int(stat[12])
    amounts["maxproc"] += 1
    amounts["openfiles"] += files
    amounts["cputime"] += used // ticks
    amounts["pcpu"] += used * 100 // ticks
    amounts["wallclock"] += max(0, int(uptime() - int(stat[19]) / ticks))
    for row in lines:
        if row and row[0] in _STATUS:
            amounts[_STATUS[row[0]]] += int(row[1]) * (1024 if len(row) > 2 else 1)  # noqa: PLR2004  # with "kB"
    for row in inputs:
        if row[0] in _IO:
            amounts[_IO[row[0]]] += int(row[1])
    return True


def _read(process: int, name: str) -> str:
    with open(f"/proc/{process}/{name}", encoding="utf-8", errors="replace") as stream:
        return stream.read()
