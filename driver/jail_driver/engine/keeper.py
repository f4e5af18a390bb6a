"""What is looked after while nothing happens: tasks that nobody wants any more, histories that are old.

A running task that Nomad does not ask for after a restart is never ended for that: the agent may only be away.
It is told, and undone once its allocation's directory is gone, which only Nomad removes.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jail_driver import log
from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.lifecycle import State
from jail_state.store.errors import StoreError

if TYPE_CHECKING:
    from jail_driver.engine.actor import TaskActor
    from jail_driver.engine.node import Node
    from jail_driver.engine.runtime import Runtime

_log = log.get("keeper")
_LOOK_S: Final = 5.0
_PURGE_S: Final = 3600.0


async def keep(node: Node, *, look_s: float = _LOOK_S) -> None:
    """Look after the tasks until cancelled; what cannot be done now is done at the next look."""
    loop = asyncio.get_running_loop()
    began_s = purged_s = loop.time()
    told: set[str] = set()
    while True:
        await asyncio.sleep(look_s)
        for actor in list(node.actors.values()):
            waited = loop.time() - began_s > node.runtime.options.recovery_wait_s
            try:
                await _look_after(node, actor, told, waited=waited)
            except Exception:  # noqa: BLE001  # logged, and looked at again
                _log.exception("cannot look after a task now", task_id=actor.task.id)
        if loop.time() - purged_s > _PURGE_S:
            purged_s = loop.time()
            await _purge(node.runtime)


async def _look_after(node: Node, actor: TaskActor, told: set[str], *, waited: bool) -> None:
    task = actor.task
    if task.state is State.STOPPED:
        await _forget(node, actor)
    elif not actor.claimed and actor.recovered.is_set():
        gone = not Path(task.plan.alloc_dir).exists()
        if gone and task.state in (State.PRESTART, State.RUNNING):
            _log.warning("undoing a task whose allocation is gone", task_id=task.id)
            await actor.apply(
                cmd.Stop(
                    "the driver: nobody asked for the task and its allocation's directory is gone",
                    task.plan.stop_signal,
                    task.plan.stop_timeout_s,
                )
            )
        elif waited and task.id not in told and task.state is State.RUNNING:
            told.add(task.id)
            text = "Nomad has not asked for this task since the driver started; it goes on"
            _log.warning(text, task_id=task.id)
            await actor.settle(lambda _task: (ev.NoticeGiven(text),))


async def _forget(node: Node, actor: TaskActor) -> None:
    """Close the history of a task that is over: nobody destroyed it, or something was left over then."""
    runtime, task = node.runtime, actor.task
    if task.leftovers:
        return
    if task.destroyed:
        await runtime.journal.close_stream(task.id, runtime.now_ns())
    elif task.stopped_at_ns is None or runtime.now_ns() - task.stopped_at_ns < runtime.options.retain_s * 1e9:
        return
    else:
        _log.warning("forgetting a task that Nomad never destroyed", task_id=task.id)
        await actor.apply(cmd.Destroy())
    if node.actors.get(task.id) is actor:
        del node.actors[task.id]


async def _purge(runtime: Runtime) -> None:
    try:
        await runtime.journal.purge(runtime.now_ns() - int(runtime.options.retain_s * 1e9))
    except StoreError as error:
        _log.warning("cannot purge old histories now", error=str(error))
