"""What the parts of the in-memory host share: a kernel's state in plain lists, and a place to fail."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from jail_driver.host.port import AddressSeen, MountSeen, Rule


@dataclass(slots=True)
class FakeJail:
    """A jail of the fake's kernel.

    Args:
        processes: whether each ignores SIGTERM, by pid.
        interfaces: a vnet jail's own, else None.
        gone_at_s: on the event loop's clock; None while it lives.
        held: something (a socket, a mount inside) keeps it dying.
        cpus: what it is bound to, as cpuset(1) takes it; empty: nothing.
        datasets: the ZFS datasets that it was handed.
        inside: addresses as ``interface address/prefix``, default routes as ``default gateway/32``.
    """

    jid: int
    name: str
    path: str
    hostname: str = ""
    meta: str = ""
    processes: dict[int, bool] = field(default_factory=dict)
    interfaces: list[str] | None = None
    gone_at_s: float | None = None
    held: bool = False
    cpus: str = ""
    datasets: set[str] = field(default_factory=set)
    inside: set[str] = field(default_factory=set)


class FakeKernel:
    """The state of a host, and the hook by which tests fail, delay or observe operations.

    Args:
        dying_s: how long a removed jail stays dying.
        patience_s: how long removal waits for processes that ignore SIGTERM (FreeBSD: 10 s).
        racct: whether limits are switched on.
        hook: called with an operation's name and "before" or "after"; may wait or raise. Raising "after"
            is a crash whose effect has happened.

    Attributes:
        log: the operations that were asked for, in order, with their locks.
        kernel_values: what sysctl(8) knows.
        datasets: the ZFS datasets of the host.
        bridge_members: pairs of bridge and member.
        devices: device files that were shown: the devfs's mount point, the name.
    """

    def __init__(
        self,
        *,
        dying_s: float = 0.0,
        patience_s: float = 0.0,
        racct: bool = True,
        hook: Callable[[str, str], Awaitable[None]] | None = None,
    ) -> None:
        self.dying_s = dying_s
        self.patience_s = patience_s
        self.racct = racct
        self.hook = hook
        self.jail_table: dict[int, FakeJail] = {}
        self.mount_table: list[MountSeen] = [MountSeen("/dev/ada0p2", "/", "ufs", "5e6a0e9d6d1ff53b")]
        self.address_list: list[AddressSeen] = [AddressSeen("lo0", "127.0.0.1", 8)]
        self.host_interfaces: list[str] = ["lo0"]
        self.rule_list: list[Rule] = []
        self.kernel_values = {"hw.ncpu": "4", "hw.clockrate": "2000", "net.fibs": "1"}
        self.datasets: set[str] = set()
        self.bridge_members: set[tuple[str, str]] = set()
        self.devices: set[tuple[str, str]] = set()
        self.numbers = itertools.count(1)
        self.log: list[tuple[str, Path | None]] = []

    @contextlib.asynccontextmanager
    async def operation(self, name: str, lock: Path | None = None) -> AsyncIterator[None]:
        """Wraps one operation: other tasks run first, then the hook, the effect, and the hook again."""
        self.log.append((name, lock))
        await asyncio.sleep(0)
        if self.hook:
            await self.hook(name, "before")
        self.reap()
        yield
        if self.hook:
            await self.hook(name, "after")

    def reap(self) -> None:
        """Lets dying jails go whose time has come; their interfaces return to the host."""
        now_s = asyncio.get_running_loop().time()
        for jail in list(self.jail_table.values()):
            if jail.gone_at_s is not None and now_s >= jail.gone_at_s and not jail.held:
                self.host_interfaces += [name for name in jail.interfaces or () if name != "lo0"]
                del self.jail_table[jail.jid]

    def living(self, jid: int) -> FakeJail | None:
        """Returns a jail that has not been removed."""
        jail = self.jail_table.get(jid)
        return jail if jail and jail.gone_at_s is None else None

    def start_process(self, jid: int, *, ignores_term: bool = False) -> int:
        """Starts a process in a jail and returns its pid; for tests, as jexec(8) would."""
        pid = 1000 + next(self.numbers)
        self.jail_table[jid].processes[pid] = ignores_term
        return pid
