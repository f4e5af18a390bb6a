"""The driver service: what Nomad asks, in terms of actors."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from jail_driver import log
from jail_driver.activity import Activity
from jail_driver.config.options import PluginOptions, parse_plugin_options
from jail_driver.engine import execs, fingerprint, signals
from jail_driver.engine.actor import TaskActor
from jail_driver.engine.keeper import keep
from jail_driver.engine.node import Node
from jail_driver.engine.once import Once
from jail_driver.engine.opening import open_node
from jail_driver.engine.orphans import undo_orphans
from jail_driver.engine.past import Past
from jail_driver.engine.recovery import recover_all
from jail_driver.engine.results import exit_result, handle_of, network_of, status_of, task_id_of
from jail_driver.engine.runtime import Runtime
from jail_driver.engine.starting import begin
from jail_driver.engine.stats import Stats
from jail_driver.errors import DriverError, HandleError, StartError, UnavailableError, UnknownTaskError
from jail_driver.model import (
    DriverTaskEvent,
    ExecOutcome,
    ExitResult,
    Fingerprint,
    Handle,
    StartedTask,
    TaskSpec,
    TaskStatus,
    TaskUsage,
)
from jail_driver.service import ExecStream
from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.errors import CoreError
from jail_state.core.lifecycle import State, Trigger
from jail_state.core.task import Task
from jail_state.store.errors import StoreError

_log = log.get("service")
_RECOVER_WAIT_S = 5.0
_EVENTS_RETRY_S = 5.0


def _options(config: Mapping[str, Any]) -> PluginOptions:
    return parse_plugin_options(config, root=os.geteuid() == 0, env=os.environ)


class JailDriver:
    """Implements ``jail_driver.service.DriverService`` over the event store and the host.

    Args:
        activity: counts the agent's long calls; decides about a hand-over.
    """

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._options: PluginOptions | None = None
        self._node = Once(self._open)
        self._stats: Stats | None = None
        self._past = Past()
        self._starting: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._changed = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()

    async def configure(self, config: Mapping[str, Any], *, real: bool) -> None:
        """Take the operator's options; the real use begins if Nomad's own configuration came with them."""
        options = _options(config)
        self._options = options
        if real:
            self._spawn(self._open_quietly())

    async def _open_quietly(self) -> None:
        try:
            await self._ready()
        except UnavailableError as error:
            _log.error("cannot serve yet", error=str(error))  # the fingerprint says why

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _ready(self) -> Node:
        """Return the node, opened at the first real use.

        Raises:
            UnavailableError: it cannot be opened now; the next use tries again.
        """
        return await self._node.get()

    async def _open(self) -> Node:
        options = self._options or _options({})
        try:
            node = await open_node(options, self._activity, self._notify)
        except (DriverError, StoreError, CoreError, OSError) as error:
            raise UnavailableError(str(error)) from error
        self._spawn(recover_all(list(node.actors.values())))
        self._spawn(undo_orphans(node.runtime))
        self._spawn(keep(node))
        self._notify()
        return node

    async def _runtime(self) -> Runtime:
        return (await self._ready()).runtime

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def fingerprints(self) -> AsyncIterator[Fingerprint]:
        """Yield the driver's health at once, then each change."""
        return fingerprint.changes(self._runtime, lambda: self._changed)

    async def start(self, spec: TaskSpec) -> StartedTask:
        """Start a task, or join the start that is under way for this id."""
        node = await self._ready()
        if spec.id not in node.actors and (reason := fingerprint.refusal(node.runtime)):
            raise StartError(reason, recoverable=True)
        async with self._starting[spec.id]:
            actor, launch = await begin(node, spec)
        self._starting.pop(spec.id, None)
        actor.claimed = True
        await actor.recovered.wait()
        actor.start(launch)
        task = await actor.until_up()
        if task.started_at_ns is None or task.trigger is Trigger.FAIL:
            raise StartError(task.reason, recoverable=task.recoverable)
        return StartedTask(handle_of(task), network_of(task))

    async def recover(self, handle: Handle) -> None:
        """Take a task back; an ended one is fine: WaitTask gives its true result.

        So is a destroyed one, for as long as its history is kept (past.py).
        So is one that cannot be looked for now, because the state directory or a tool is missing, or whose recovery
        cannot be noted on a full disk: an error would make Nomad start the task a second time beside itself
        (restoreHandle in its task_runner.go).
        """
        try:
            task_id = task_id_of(handle)
        except ValueError as error:
            raise HandleError(str(error)) from error
        try:
            node = await self._ready()
        except UnavailableError as error:
            _log.error("cannot look for a task that Nomad asks for", task_id=task_id, error=str(error))
            return
        actor = node.actors.get(task_id)
        if actor is None:
            await self._past.recall(node, task_id)
            return
        actor.claimed = True
        try:
            await asyncio.wait_for(actor.recovered.wait(), _RECOVER_WAIT_S)
        except TimeoutError:
            _log.warning("still observing a task that Nomad asks for", task_id=task_id)
        try:
            await actor.settle(lambda task: (ev.TaskRecovered(f"Nomad asked for it, it is {task.state}"),))
        except StoreError as error:
            # Only a note is lost. After an error Nomad would end the task and run it again: a full disk may not cost that.
            _log.warning("cannot note that Nomad asked for a task", task_id=task_id, error=str(error))

    def _actor(self, node: Node, task_id: str) -> TaskActor:
        actor = node.actors.get(task_id)
        if actor is None:
            raise UnknownTaskError(task_id)
        return actor

    async def wait(self, task_id: str) -> ExitResult:
        """Return once the task is stopped; repeatable until DestroyTask, and again after RecoverTask."""
        node = await self._ready()
        if (past := await self._past.of(node, task_id)) is not None:
            return exit_result(past)
        actor = self._actor(node, task_id)
        actor.claimed = True
        return exit_result(await actor.until(State.STOPPED))

    async def stop(self, task_id: str, *, timeout_s: float, signal: str) -> None:
        """Stop a task and return at ``stopped``; unknown and ended tasks are fine."""
        node = await self._ready()
        actor = node.actors.get(task_id)
        if actor is not None:
            name = await signals.kill_signal(actor, signal, node.runtime.options.kill_signal)
            await self._stop(actor, cmd.Stop("Nomad", name, timeout_s))

    async def _stop(self, actor: TaskActor, command: cmd.Stop) -> Task:
        await actor.apply(command)
        return await actor.until(State.STOPPED)

    async def destroy(self, task_id: str, *, force: bool) -> None:
        """Forget an ended task, ending it first if forced; unknown tasks are fine."""
        node = await self._ready()
        actor = node.actors.get(task_id)
        if actor is None:
            self._past.forget(task_id)
            return
        if actor.task.state is not State.STOPPED:
            if not force:
                raise DriverError(f"task {task_id} is {actor.task.state}; stop it first or use force")
            options = node.runtime.options
            await self._stop(
                actor, cmd.Stop("Nomad (destroy)", options.kill_signal, options.kill_timeout_s, force=True)
            )
        await actor.apply(cmd.Destroy())
        if not actor.task.leftovers:
            node.actors.pop(task_id, None)

    async def inspect(self, task_id: str) -> TaskStatus:
        """Return state, times, result and attributes."""
        node = await self._ready()
        past = await self._past.of(node, task_id)
        return status_of(past or self._actor(node, task_id).task)

    async def signal(self, task_id: str, signal: str) -> None:
        """Send a signal by name to main, or to all if main has ended and the task lives on."""
        await signals.send(self._actor(await self._ready(), task_id), signal)

    async def stats(self, task_id: str, interval_s: float) -> AsyncIterator[TaskUsage]:
        """Yield a sample at once and then at each interval, until the task runs no more."""
        node = await self._ready()
        if self._stats is None:
            self._stats = Stats(node.runtime)
        async with aclosing(self._stats.stream(self._actor(node, task_id), interval_s)) as samples:
            async for usage in samples:
                yield usage

    async def events(self) -> AsyncIterator[DriverTaskEvent]:
        """Yield what operators want to see, as it happens; nothing while the driver cannot serve."""
        runtime: Runtime | None = None
        while runtime is None:
            changed = self._changed
            try:
                runtime = await self._runtime()
            except UnavailableError:
                # Nomad opens a stream that ends anew at once and for ever (instance.go of its driver manager).
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_EVENTS_RETRY_S):
                        await changed.wait()
        async for event in runtime.feed.listen():
            yield event

    async def exec(self, task_id: str, argv: tuple[str, ...], timeout_s: float) -> ExecOutcome:
        """Run a command in the task's jail; its exit code is in the result."""
        return await execs.run(self._actor(await self._ready(), task_id), argv, timeout_s)

    async def exec_streaming(
        self,
        task_id: str,
        argv: tuple[str, ...],
        *,
        tty: bool,
        stream: ExecStream,
    ) -> ExitResult:
        """Run a command in the task's jail with its streams connected, until it ends or the caller is gone."""
        return await execs.stream(self._actor(await self._ready(), task_id), argv, tty=tty, stream=stream)

    async def close(self) -> None:
        """Finish what the journal was given; tasks and supervisors live on."""
        await self._node.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        node = self._node.made
        if node is not None:
            for actor in node.actors.values():
                await actor.close()
            node.runtime.evidence.close()
            await node.runtime.journal.close()
