"""Reads what ps(1) and ``rctl -u`` print. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jail_driver.host.errors import HostError

COLUMNS = ("pid", "ppid", "jid", "rss", "usertime", "systime", "time")
"""Numbers only, so that blanks separate them (keyword.c of bin/ps)."""

_KIB = 1024
_SECONDS = (1, 60, 3600, 86400)


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """One process.

    Args:
        pid: its number.
        ppid: its parent's.
        jid: its jail's; 0 is the host.
        rss_bytes: resident memory.
        user_s: its own processor time in user mode, seconds.
        system_s: its own processor time in the kernel, seconds.
        total_s: the sum of both and of all children that have ended and were waited for.
    """

    pid: int
    ppid: int
    jid: int
    rss_bytes: int
    user_s: float
    system_s: float
    total_s: float

    @property
    def children_s(self) -> float:
        """The processor time of ended children alone, seconds."""
        return max(0.0, self.total_s - self.user_s - self.system_s)


def seconds(text: str) -> float:
    """Reads a processor time as ps(1) prints it.

    >>> seconds("0:01.25"), seconds("125:00.50"), seconds("1-02:03:04.00")
    (1.25, 7500.5, 93784.0)
    """
    parts = text.replace("-", ":").replace(",", ".").split(":")
    return sum(float(part) * weight for part, weight in zip(reversed(parts), _SECONDS, strict=False))


def processes(output: bytes) -> tuple[ProcessUsage, ...]:
    """Reads ``ps -S -axww -o pid= -o ppid= …`` with the columns of ``COLUMNS``.

    Raises:
        HostError: not what ps(1) prints.
    """
    found = []
    try:
        for line in output.decode("ascii", "replace").splitlines():
            pid, ppid, jid, rss, user, system, total = line.split()
            found.append(
                ProcessUsage(
                    int(pid),
                    int(ppid),
                    int(jid),
                    int(rss) * _KIB,
                    seconds(user),
                    seconds(system),
                    seconds(total),
                )
            )
    except ValueError as error:
        raise HostError("read the output of ps", f"not as expected: {output[:80]!r}") from error
    return tuple(found)


def counters(output: bytes, names: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """Reads ``rctl -u jail:NAME…``: for each name in turn one ``resource=amount`` a line.

    Nothing says whose lines they are but their order; an answer that does not fit is worth nothing.
    """
    blocks: list[dict[str, int]] = []
    first = ""
    for line in output.decode("ascii", "replace").splitlines():
        resource, _, amount = line.partition("=")
        first = first or resource
        if resource == first:
            blocks.append({})
        blocks[-1][resource] = int(amount) if amount.isdigit() else 0
    return dict(zip(names, blocks, strict=True)) if len(blocks) == len(names) else {}
