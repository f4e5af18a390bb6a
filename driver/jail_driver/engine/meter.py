"""From looks at the host to what Nomad calls usage, one meter a stream. Pure.

Processor time is counted so that nothing is lost where processes come and go: a task's total is the time of
its living processes and of all children that they have waited for, and of what its supervisor reaped.
Where something is reaped by somebody else (a command beside main, by the plugin) the total would fall; the
meter never runs backwards. RACCT counts all of it, but in whole seconds: it only pulls the meter up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jail_driver.host.usage_parse import ProcessUsage
from jail_driver.model import CpuUsage, MemoryUsage, ResourceUsage, TaskUsage

_RACCT_SLACK_S = 1.5
_MEASURED_PID = ("RSS",)
_MEASURED = ("RSS", "USAGE", "MAX_USAGE")
_MEASURED_RACCT = ("RSS", "SWAP", "USAGE", "MAX_USAGE")


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one task.

    Args:
        at_s: when, on a clock that never jumps.
        timestamp_ns: when, UTC.
        processes: those in the jail.
        reaped_s: processor time of what the supervisor reaped.
        counters: RACCT's, None where it is off.
        age_s: how long the task has run.
        mhz: of one core; 0 where nobody knows.
    """

    at_s: float
    timestamp_ns: int
    processes: Sequence[ProcessUsage]
    reaped_s: float = 0.0
    counters: Mapping[str, int] | None = None
    age_s: float = 0.0
    mhz: float = 0.0


@dataclass(slots=True)
class _Last:
    at_s: float
    total_s: float
    user_s: float
    system_s: float
    by_pid: dict[int, ProcessUsage]


class Meter:
    """Turns readings into usage: percent of one core since the last reading, at first since the start."""

    def __init__(self) -> None:
        self._last: _Last | None = None
        self._lost_s = 0.0
        self._seen_s = 0.0
        self._peak_bytes = 0

    def read(self, now: Reading) -> TaskUsage:
        """Return the usage; a reading that is no later than the last one counts as no time."""
        total_s = self._total(now)
        user_s = sum(one.user_s for one in now.processes)
        system_s = sum(one.system_s for one in now.processes)
        last = self._last or _Last(now.at_s - now.age_s, 0.0, 0.0, 0.0, {})
        span_s = now.at_s - last.at_s
        percent = _percent(total_s - last.total_s, span_s)
        user = _share(user_s - last.user_s, system_s - last.system_s) or _share(user_s, system_s)
        total = ResourceUsage(_cpu(percent, 1.0 if user is None else user, now.mhz), self._memory(now))
        by_pid = {
            str(one.pid): _process(one, last.by_pid.get(one.pid), now.at_s, last, now)
            for one in now.processes
        }
        self._last = _Last(now.at_s, total_s, user_s, system_s, {one.pid: one for one in now.processes})
        return TaskUsage(now.timestamp_ns, total, by_pid)

    def _total(self, now: Reading) -> float:
        seen_s = now.reaped_s + sum(one.total_s for one in now.processes)
        self._lost_s += max(0.0, self._seen_s - seen_s)
        self._seen_s = seen_s
        counted_s = float((now.counters or {}).get("cputime", 0))
        if counted_s > seen_s + self._lost_s + _RACCT_SLACK_S:
            self._lost_s = counted_s - seen_s
        return seen_s + self._lost_s

    def _memory(self, now: Reading) -> MemoryUsage:
        rss_bytes = sum(one.rss_bytes for one in now.processes)
        swap_bytes = 0
        if now.counters is not None:
            rss_bytes = now.counters.get("memoryuse", 0) or rss_bytes
            swap_bytes = now.counters.get("swapuse", 0)
        self._peak_bytes = max(self._peak_bytes, rss_bytes)
        return MemoryUsage(
            rss_bytes,
            swap_bytes=swap_bytes,
            usage_bytes=rss_bytes,
            max_usage_bytes=self._peak_bytes,
            measured=_MEASURED if now.counters is None else _MEASURED_RACCT,
        )


def _percent(used_s: float, span_s: float) -> float:
    return max(0.0, used_s) / span_s * 100 if span_s > 0 else 0.0


def _share(user_s: float, system_s: float) -> float | None:
    """Return how much of it was in user mode, None if there is nothing to share."""
    user_s, system_s = max(0.0, user_s), max(0.0, system_s)
    return user_s / (user_s + system_s) if user_s + system_s > 0 else None


def _cpu(percent: float, user: float, mhz: float) -> CpuUsage:
    return CpuUsage(
        system_mode=percent * (1 - user),
        user_mode=percent * user,
        total_ticks=percent / 100 * mhz,
        percent=percent,
    )


def _process(
    one: ProcessUsage, before: ProcessUsage | None, at_s: float, last: _Last, now: Reading
) -> ResourceUsage:
    user_s, system_s = one.user_s, one.system_s
    span_s = at_s - last.at_s
    if before is not None and user_s >= before.user_s and system_s >= before.system_s:
        user_s -= before.user_s
        system_s -= before.system_s
    percent = _percent(user_s + system_s, span_s)
    user = _share(user_s, system_s)
    cpu = _cpu(percent, 1.0 if user is None else user, now.mhz)
    return ResourceUsage(cpu, MemoryUsage(one.rss_bytes, measured=_MEASURED_PID))
