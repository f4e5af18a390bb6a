"""One task's actor: appends what is decided, performs what is owed, one step at a time.

Intent before effect, outcome after it. The plugin may die between any two lines of this file; what is left
then is at most one intent without an outcome, and ``recovery`` settles it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jail_driver import log
from jail_driver.engine import interrupt, leftovers
from jail_driver.engine import private as private_file
from jail_driver.engine.durability import is_durable
from jail_driver.engine.faults import Point
from jail_driver.engine.messages import driver_event
from jail_driver.engine.steps import HANDLERS, Context, Handler, Launch
from jail_driver.engine.watch import watch_supervisor
from jail_driver.errors import ConfigError, DriverError
from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.decide import decide
from jail_state.core.errors import CoreError
from jail_state.core.lifecycle import State
from jail_state.core.plan import finished, plan
from jail_state.core.steps import Progress, Step, StepKind
from jail_state.core.task import Task, evolve
from jail_state.store.errors import ConcurrencyError, StoreError
from jail_state.store.port import Append

if TYPE_CHECKING:
    from jail_driver.engine.runtime import Runtime

_log = log.get("engine")

_RETRY_FIRST_S = 0.05
_RETRY_MOST_S = 2.0


class TaskActor:
    """Drives one task. All methods are called on the event loop; ``run`` is its only driver."""

    def __init__(self, runtime: Runtime, task: Task) -> None:
        self.runtime = runtime
        self.task = task
        self.force = asyncio.Event()
        self.recovered = asyncio.Event()
        """Set once the journal agrees with the host; a new task's does from the start."""
        self.context = self._context()
        self._append_lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._driver: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.hold_until_s: float | None = None
        """A half-started task waits until then (loop time) for Nomad's repeated StartTask."""
        self.claimed = False
        """Whether Nomad has asked for the task in this plugin's life."""

    def _context(self) -> Context:
        runtime, task = self.runtime, self.task
        directory = runtime.state.task(task.id)
        return Context(
            task=task,
            directory=directory,
            private=None,
            launch=None,
            host=runtime.host,
            runner=runtime.runner,
            tools=runtime.tools,
            helper=runtime.helper,
            others=lambda: runtime.others(task.id),
            apply=self.apply,
            evidence=runtime.evidence,
            force=self.force,
        )

    # -- what happened ---------------------------------------------------------------------------

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
        self.context.task = self.task
        if self.task.forced:
            self.force.set()
        self.notify()

    def _tell(self, recorded: ev.Recorded) -> None:
        told = driver_event(self.task, recorded)
        if told is not None:
            self.runtime.feed.publish(told)
        _log.debug("event", task_id=self.task.id, seq=recorded.seq, name=recorded.event.name)

    def notify(self) -> None:
        """Wake everybody who waits for a change of this task."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, *states: State) -> Task:
        """Wait until the task is in one of these states, and return its snapshot."""
        while self.task.state not in states:
            await self._changed.wait()
        return self.task

    async def until_up(self) -> Task:
        """Wait until the start is through (its poststart hooks too) or the task is stopped."""
        while not (self.task.state is State.RUNNING and plan(self.task) is None and not self.task.in_flight):
            if self.task.state is State.STOPPED:
                break
            await self._changed.wait()
        return self.task

    # -- what is owed ----------------------------------------------------------------------------

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
        pause_s = _RETRY_FIRST_S
        while not (self.task.state is State.STOPPED and not self.task.leftovers):
            try:
                await self._advance()
                pause_s = _RETRY_FIRST_S
            except asyncio.CancelledError:
                raise
            except Exception:  # noqa: BLE001  # logged, and tried again for as long as the task lives
                # The store may be full or locked, a file unreadable: the task goes on living, and so does
                # its driver. Nothing was lost: the snapshot is what the journal says.
                _log.exception("cannot go on with the task now", task_id=self.task.id)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _RETRY_MOST_S)
        self.runtime.evidence.forget(self.task)

    async def _advance(self) -> None:
        self._watch()
        if self.task.state is State.PENDING:
            await self.apply(cmd.Begin())
            return
        changed = self._changed
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
            await self._go_down(step)
        elif await self._may_go_up(changed):
            await self._go_up(step)

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

    async def _go_up(self, step: Step) -> None:
        handler = HANDLERS[step.kind]
        async with self.runtime.exclusive(handler.exclusive(self.context, step)):
            await self._conclude(step, await self._outcome_up(step, handler))

    async def _outcome_up(self, step: Step, handler: Handler) -> cmd.Command:
        intended = False
        try:
            self.read_private()
            await self.runtime.faults.announce(Point.BEFORE_INTENT, step.key)
            before = await handler.before(self.context, step)
            await self.apply(cmd.Intend(step.key, before))
            intended = True
            await self.runtime.faults.announce(Point.AFTER_INTENT, step.key)
            result = await interrupt.perform(self.context, step, before)
            await self.runtime.faults.announce(Point.AFTER_EFFECT, step.key)
        except (StoreError, CoreError):
            if not intended:
                raise  # nothing was announced: the whole step is tried again
            return cmd.Fail(step.key, f"{step.key}: the journal failed in the middle of it")
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not leave the step in flight
            if not intended:
                # Nothing was done, but the journal takes a failure only after an intent.
                await self.apply(cmd.Intend(step.key))
            return cmd.Fail(
                step.key, self._words(step, error), recoverable=not isinstance(error, ConfigError)
            )
        return cmd.Conclude(step.key, result)

    def _words(self, step: Step, error: Exception) -> str:
        """Return what a failure says of itself; a defect of ours is logged whole."""
        if isinstance(error, DriverError):
            return str(error)
        _log.exception("a step failed in an unforeseen way", task_id=self.task.id, step=step.key)
        return f"{step.key}: {error!r}"

    async def _conclude(self, step: Step, outcome: cmd.Command) -> None:
        """Append an outcome. It is a fact by now: while the store refuses, it is kept and tried again."""
        pause_s = _RETRY_FIRST_S
        while True:
            try:
                await self.apply(outcome)
                break
            except StoreError:
                _log.exception("cannot store an outcome now", task_id=self.task.id, step=step.key)
                if self.task.in_flight is None:
                    break  # it was stored although the store said no
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _RETRY_MOST_S)
        await self.runtime.faults.announce(Point.AFTER_OUTCOME, step.key)

    async def _go_down(self, step: Step) -> None:
        """Perform a teardown step; all but hooks are tried again until the deadline."""
        handler = HANDLERS[step.kind]
        async with self.runtime.exclusive(handler.exclusive(self.context, step)):
            self.read_private()
            await self.runtime.faults.announce(Point.BEFORE_INTENT, step.key)
            before = await handler.before(self.context, step)
            await self.apply(cmd.Intend(step.key, before))
            await self.runtime.faults.announce(Point.AFTER_INTENT, step.key)
            await self._conclude(step, await self._outcome_down(step, before))

    async def _outcome_down(self, step: Step, before: Mapping[str, Any]) -> cmd.Command:
        pause_s = _RETRY_FIRST_S
        while True:
            try:
                result = await interrupt.perform(self.context, step, before)
                await self.runtime.faults.announce(Point.AFTER_EFFECT, step.key)
                return cmd.Conclude(step.key, result)
            except Exception as error:  # noqa: BLE001  # whatever it is, the teardown goes on
                words = self._words(step, error)
                if step.kind is StepKind.HOOK:
                    return cmd.Fail(step.key, words)
                if self._deadline_passed():
                    return cmd.Abandon(step.key, words)
                _log.warning("will try again", task_id=self.task.id, step=step.key, error=words)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _RETRY_MOST_S)

    def _deadline_passed(self) -> bool:
        since_ns = self.task.teardown_since_ns
        if since_ns is None:
            return False
        return self.runtime.now_ns() - since_ns > self.runtime.options.teardown_deadline_s * 1e9

    def read_private(self) -> None:
        """Read what the teardown owes, unless that is known; a damaged file is as good as none."""
        if self.context.private is None:
            try:
                self.context.private = private_file.read(self.context.directory.private)
            except (ValueError, KeyError, TypeError):
                _log.exception("cannot read what the task owes", task_id=self.task.id)
