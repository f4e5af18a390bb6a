"""What processes and jails use: one look at the whole host, for all tasks together.

By system calls where this Python is FreeBSD's own (``usage_native``); else by one ps(1) and one rctl(8) a
look, however many tasks there are.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jail_driver.host import usage_native, usage_parse
from jail_driver.host.command import Runner
from jail_driver.host.shell import HostCommands
from jail_driver.host.tools import Tools
from jail_driver.host.usage_parse import ProcessUsage

__all__ = ["Look", "ProcessUsage", "UsageSource"]

_FILTERS_A_COMMAND = 500
"""A jail's name takes at most 64 bytes of the argument list; ARG_MAX is 256 KB at least."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen.

    Args:
        at_s: when, by ``time.monotonic``.
        by_jid: the processes of each jail by its number; 0 is the host itself.
        by_pid: the same processes by pid.
        racct: RACCT's counters by jail name; empty where it is switched off, or did not answer.
    """

    at_s: float
    by_jid: Mapping[int, Sequence[ProcessUsage]]
    by_pid: Mapping[int, ProcessUsage]
    racct: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class UsageSource(HostCommands):
    """Looks at the host; see the module.

    Args:
        tools: where ps(1), rctl(8) and sysctl(8) are.
        runner: how they are run.
    """

    def __init__(self, tools: Tools, runner: Runner) -> None:
        super().__init__(tools, runner)
        self._native = usage_native.load() if tools.native else None
        self._racct: bool | None = None

    async def look(self, jail_names: Iterable[str]) -> Look:
        """Looks once.

        Args:
            jail_names: whose RACCT counters are wanted. Those of a jail that does not exist are zeros
                (recorded), so whoever asks must know that it lives.

        Raises:
            HostError: the processes cannot be listed.
        """
        at_s = time.monotonic()
        processes = self._native.processes() if self._native else await self._processes()
        by_jid: dict[int, list[ProcessUsage]] = {}
        for one in processes:
            by_jid.setdefault(one.jid, []).append(one)
        racct = await self._counters(sorted(set(jail_names)))
        return Look(at_s, by_jid, {one.pid: one for one in processes}, racct)

    async def _processes(self) -> tuple[ProcessUsage, ...]:
        # -S adds the processor time of ended children, or a task that forks a lot would seem to idle.
        columns = [word for name in usage_parse.COLUMNS for word in ("-o", f"{name}=")]
        done = await self._look(self._tools.ps, "-S", "-axww", *columns)
        return usage_parse.processes(done.check("list the processes").stdout)

    async def _counters(self, names: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        if not names or not await self.has_racct():
            return {}
        if self._native:
            found = {name: self._native.counters(name) for name in names}
            return {name: counters for name, counters in found.items() if counters}
        counters: dict[str, Mapping[str, int]] = {}
        for at in range(0, len(names), _FILTERS_A_COMMAND):
            part = names[at : at + _FILTERS_A_COMMAND]
            done = await self._look(self._tools.rctl, "-u", *(f"jail:{name}" for name in part))
            if done.ok:
                counters.update(usage_parse.counters(done.stdout, part))
        return counters

    async def has_racct(self) -> bool:
        """Tells whether the kernel counts (kern.racct.enable: a tunable, so one look is enough)."""
        if self._racct is None:
            done = await self._sysctl("-n", "kern.racct.enable")
            self._racct = done.ok and done.stdout.strip() == b"1"
        return self._racct
