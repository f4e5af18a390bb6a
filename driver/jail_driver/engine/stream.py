"""One task's event stream: what is decided is appended, what was appended is folded and told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from jail_driver import log
from jail_driver.engine.durability import is_durable
from jail_driver.engine.messages import driver_event
from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.decide import decide
from jail_state.core.lifecycle import State
from jail_state.core.plan import plan
from jail_state.core.task import Task, evolve
from jail_state.store.errors import ConcurrencyError
from jail_state.store.port import Append

if TYPE_CHECKING:
    from jail_driver.engine.runtime import Runtime

_log = log.get("engine")


class TaskStream:
    """A task's newest snapshot, and the only way to change it. All methods are called on the event loop.

    Args:
        runtime: its journal, feed and clock are used.
        task: the snapshot to begin with.
    """

    def __init__(self, runtime: Runtime, task: Task) -> None:
        self.runtime = runtime
        self.task = task
        self.changed = asyncio.Event()
        """Set at the next change; each change begins another one."""
        self._append_lock = asyncio.Lock()

    async def apply(self, command: cmd.Command) -> tuple[ev.Event, ...]:
        """Decide, append, fold; returns what was appended.

        Raises:
            StoreError: nothing was appended; the snapshot is unchanged.
            CoreError: the command is not possible from here.
        """
        async with self._append_lock:
            return await self._append(decide(self.task, command))

    async def settle(self, verdict: Callable[[Task], tuple[ev.Event, ...]]) -> tuple[ev.Event, ...]:
        """Append what a pure function says of the newest snapshot."""
        async with self._append_lock:
            return await self._append(verdict(self.task))

    async def _append(self, events: tuple[ev.Event, ...]) -> tuple[ev.Event, ...]:
        if not events:
            return ()
        at_ns = self.runtime.now_ns()
        durable = any(is_durable(event, self.task) for event in events)
        closes = any(isinstance(event, ev.TaskDestroyed) for event in events) and not self.task.leftovers
        version = self.task.version
        append = Append(self.task.id, version, events, at_ns, durable=durable, closes=closes)
        try:
            await self.runtime.journal.append(append)
        except ConcurrencyError:
            # A commit that failed on its way to the disk was stored all the same: what stands there counts.
            self._fold(await self.runtime.journal.read(self.task.id, version))
            raise
        self._fold(
            ev.Recorded(self.task.id, seq, at_ns, event) for seq, event in enumerate(events, version + 1)
        )
        return events

    def _fold(self, history: Iterable[ev.Recorded]) -> None:
        for recorded in history:
            self.task = evolve(self.task, recorded)
            self._tell(recorded)
        self.folded()
        self.notify()

    def folded(self) -> None:
        """Called with each new snapshot, before those who wait for it."""

    def _tell(self, recorded: ev.Recorded) -> None:
        told = driver_event(self.task, recorded)
        if told is not None:
            self.runtime.feed.publish(told)
        _log.debug("event", task_id=self.task.id, seq=recorded.seq, name=recorded.event.name)

    def notify(self) -> None:
        """Wake everybody who waits for a change of this task."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, *states: State) -> Task:
        """Wait until the task is in one of these states, and return its snapshot."""
        while self.task.state not in states:
            await self.changed.wait()
        return self.task

    async def until_up(self) -> Task:
        """Wait until the start is through (its poststart hooks too) or the task is stopped."""
        while not (self.task.state is State.RUNNING and plan(self.task) is None and not self.task.in_flight):
            if self.task.state is State.STOPPED:
                break
            await self.changed.wait()
        return self.task
