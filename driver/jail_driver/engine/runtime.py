"""What all actors share: adapters, clock, locks, and each other's snapshots."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from jail_driver.config.options import PluginOptions
from jail_driver.engine.evidence import Evidence, Living
from jail_driver.engine.faults import Faults
from jail_driver.engine.feed import Feed
from jail_driver.engine.ownership import Ownership
from jail_driver.engine.paths import StateDir
from jail_driver.host.command import CommandRunner
from jail_driver.host.exits import Exits
from jail_driver.host.port import JailHost
from jail_driver.host.tools import Tools
from jail_driver.supervisor.launcher import ForkHelper
from jail_state.core.lifecycle import State
from jail_state.core.task import Task
from jail_state.store.writer import Journal


@dataclass(slots=True)
class Runtime:
    """One per plugin, made at the first real use."""

    options: PluginOptions
    state: StateDir
    host: JailHost
    runner: CommandRunner
    tools: Tools
    helper: ForkHelper
    journal: Journal
    feed: Feed
    boot_id: str
    living: Mapping[str, Living]
    """The node's tasks by id, as they are at the moment."""
    ownership: Ownership | None = None
    faults: Faults = field(default_factory=Faults)
    now_ns: Callable[[], int] = time.time_ns
    exits: Exits = field(init=False)
    evidence: Evidence = field(init=False)
    _locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def __post_init__(self) -> None:
        """Make what refers to the other parts."""
        tools = self.tools
        self.exits = Exits(tools.pwait)
        self.evidence = Evidence(self.living.values, tools.devd_pipe, device=tools.native)

    def tasks(self) -> Iterator[Task]:
        """Yield the newest snapshot of each task."""
        return (one.task for one in self.living.values())

    def others(self, task_id: str) -> Iterator[Task]:
        """Yield the newest snapshots of the other tasks that still have something on the host."""
        for task in self.tasks():
            if task.id != task_id and (task.state is not State.STOPPED or task.leftovers):
                yield task

    @asynccontextmanager
    async def exclusive(self, name: str | None) -> AsyncIterator[None]:
        """Hold what no two tasks may touch at once; None holds nothing."""
        if name is None:
            yield
            return
        lock = self._locks[name]
        async with lock:
            yield
        if not lock.locked():
            self._locks.pop(name, None)
