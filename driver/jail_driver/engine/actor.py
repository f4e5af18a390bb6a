"""One task's actor: takes what is owed next from the plan, and does it, one step at a time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from jail_driver import log
from jail_driver.backoff import Backoff
from jail_driver.engine import leftovers, stepping
from jail_driver.engine.steps import Launch
from jail_driver.engine.watch import watch_supervisor
from jail_driver.engine.work import TaskWork
from jail_state.core import commands as cmd
from jail_state.core.lifecycle import State
from jail_state.core.plan import finished, plan
from jail_state.core.steps import Progress, StepKind
from jail_state.core.task import Task

if TYPE_CHECKING:
    from jail_driver.engine.runtime import Runtime

_log = log.get("engine")


class TaskActor(TaskWork):
    """Drives one task. All methods are called on the event loop; ``_run`` is its only driver."""

    def __init__(self, runtime: Runtime, task: Task) -> None:
        super().__init__(runtime, task)
        self.recovered = asyncio.Event()
        """Set once the journal agrees with the host; a new task's does from the start."""
        self._driver: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.hold_until_s: float | None = None
        """A half-started task waits until then (loop time) for Nomad's repeated StartTask."""
        self.claimed = False
        """Whether Nomad has asked for the task in this plugin's life."""

    def start(self, launch: Launch | None = None) -> None:
        """Begin to drive the task (idempotent); ``launch`` is what only a StartTask carries."""
        if launch is not None:
            self.context.launch = launch
            self.hold_until_s = None
            self.notify()
        if self._driver is None:
            self._driver = asyncio.create_task(self._run(), name=f"task {self.task.id}")

    async def close(self) -> None:
        """Stop driving; the task itself is untouched."""
        for one in (self._driver, self._watcher):
            if one is not None:
                one.cancel()
                await asyncio.gather(one, return_exceptions=True)

    async def _run(self) -> None:
        backoff = Backoff(stepping.RETRY_FIRST_S, stepping.RETRY_MOST_S)
        while not (self.task.state is State.STOPPED and not self.task.leftovers):
            try:
                await self._advance()
                backoff.reset()
            except asyncio.CancelledError:
                raise
            except Exception:  # noqa: BLE001  # logged, and tried again for as long as the task lives
                # The store may be full or locked, a file unreadable: the task goes on living, and so does
                # its driver. Nothing was lost: the snapshot is what the journal says.
                _log.exception("cannot go on with the task now", task_id=self.task.id)
                await backoff.pause()
        self.runtime.evidence.forget(self.task)
        if self.task.main is not None:
            self.runtime.exits.forget(self.task.main.pid)

    async def _advance(self) -> None:
        self._watch()
        if self.task.state is State.PENDING:
            await self.apply(cmd.Begin())
            return
        changed = self.changed
        step = plan(self.task)
        if step is None:
            if finished(self.task):
                await self.apply(cmd.Finish())
            else:
                await changed.wait()
            return
        if self.task.state is State.STOPPED:
            await leftovers.clear(self)
        elif step in self.task.plan.teardown:
            await stepping.go_down(self, step)
        elif await self._may_go_up(changed):
            await stepping.go_up(self, step)

    def _watch(self) -> None:
        """Follow the supervisor from the moment that main was started."""
        main = self.task.step_of(StepKind.MAIN)
        started = main is not None and self.task.progress(main.key) is Progress.DONE
        if started and self._watcher is None and self.task.state is not State.STOPPED:
            self._watcher = asyncio.create_task(watch_supervisor(self), name=f"watch {self.task.id}")

    async def _may_go_up(self, changed: asyncio.Event) -> bool:
        """After a restart of the plugin a half-made start waits for Nomad to repeat StartTask."""
        if self.task.state is State.RUNNING or self.context.launch is not None:
            return True
        loop = asyncio.get_running_loop()
        if self.hold_until_s is None:
            self.hold_until_s = loop.time() + self.runtime.options.recovery_wait_s
        left_s = self.hold_until_s - loop.time()
        if left_s <= 0:
            reason = "the driver restarted in the middle of the start and Nomad did not repeat it"
            await self.apply(cmd.Lose(reason, jail=False))
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), left_s)
        return False
