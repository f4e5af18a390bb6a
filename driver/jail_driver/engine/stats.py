"""TaskStats: figures at the interval that Nomad asks for, from looks that all tasks share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from jail_driver import log
from jail_driver.engine.limit_watch import LimitWatch
from jail_driver.engine.meter import Meter, Reading
from jail_driver.errors import DriverError
from jail_driver.host.usage import Look, UsageSource
from jail_driver.model import TaskUsage
from jail_state.core import events as ev
from jail_state.core.lifecycle import State

if TYPE_CHECKING:
    from jail_driver.engine.actor import TaskActor
    from jail_driver.engine.runtime import Runtime

_log = log.get("stats")
_DEFAULT_INTERVAL_S = 1.0
_LEAST_INTERVAL_S = 0.1
_SHARE = 0.5
"""A look that is younger than this part of the interval is good enough, whoever asked for it."""


class Stats:
    """Looks at the host for all streams of one plugin.

    Args:
        runtime: the plugin's.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._source = UsageSource(runtime.tools, runtime.runner)
        self._wanted: Counter[str] = Counter()
        self._last: Look | None = None
        self._looking: asyncio.Task[Look] | None = None
        self._mhz: float | None = None

    async def stream(self, actor: TaskActor, interval_s: float) -> AsyncGenerator[TaskUsage, None]:
        """Yield a sample at once and then at each interval, until the task runs no more.

        A host that cannot be looked at now makes the stream quiet, never an error: Nomad would log it and
        open the stream again each time (client/allocrunner/taskrunner/stats_hook.go).
        """
        interval_s = max(interval_s or _DEFAULT_INTERVAL_S, _LEAST_INTERVAL_S)
        name = actor.task.plan.jail_name
        meter, limits = Meter(), LimitWatch(actor.task.plan.steps)
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        await actor.until(State.RUNNING, State.PRESTOP, State.STOPPED)
        self._wanted[name] += 1
        try:
            while actor.task.state is State.RUNNING:
                reading = await self._reading(actor, interval_s * _SHARE)
                if reading is not None and actor.task.state is State.RUNNING:
                    await self._tell_limits(actor, limits, reading)
                    yield meter.read(reading)
                next_s = max(next_s + interval_s, loop.time())
                await asyncio.sleep(next_s - loop.time())
        finally:
            self._wanted[name] -= 1
            if not self._wanted[name]:
                del self._wanted[name]

    async def _reading(self, actor: TaskActor, age_s: float) -> Reading | None:
        try:
            look = await self._look(age_s)
            mhz = await self._core_mhz()
        except DriverError as error:
            _log.debug("cannot measure now", task_id=actor.task.id, error=str(error))
            return None
        task = actor.task
        if task.jid is None or task.jail_lost:
            return None
        supervisor = look.by_pid.get(task.supervisor.pid) if task.supervisor else None
        now_ns = self._runtime.now_ns()
        return Reading(
            at_s=look.at_s,
            timestamp_ns=now_ns,
            processes=look.by_jid.get(task.jid, ()),
            reaped_s=supervisor.children_s if supervisor else 0.0,
            counters=look.racct.get(task.plan.jail_name),
            age_s=max(0.0, (now_ns - (task.started_at_ns or now_ns)) / 1e9),
            mhz=mhz,
        )

    async def _look(self, age_s: float) -> Look:
        """Return a look that is young enough; one that is under way is everybody's."""
        loop = asyncio.get_running_loop()
        if self._last is not None and loop.time() - self._last.at_s <= age_s:
            return self._last
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._source.look(tuple(self._wanted)))
        self._last = await asyncio.shield(self._looking)
        return self._last

    async def _core_mhz(self) -> float:
        if self._mhz is None:
            text = await self._runtime.host.kernel_value("hw.clockrate")
            self._mhz = float(text) if text and text.isdigit() else 0.0
        return self._mhz

    async def _tell_limits(self, actor: TaskActor, limits: LimitWatch, reading: Reading) -> None:
        if reading.counters is None:
            return
        told = limits.look(reading.counters, reading.at_s)
        if told:
            await actor.settle(lambda _task: tuple(ev.NoticeGiven(text) for text in told))
