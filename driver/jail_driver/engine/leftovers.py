"""What a teardown could not remove by its deadline: named, and still tried, ever more rarely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jail_driver import log
from jail_driver.backoff import Backoff
from jail_driver.engine.steps import HANDLERS
from jail_driver.errors import DriverError
from jail_state.core import commands as cmd

if TYPE_CHECKING:
    from jail_driver.engine.actor import TaskActor

_log = log.get("engine")
_FIRST_S: Final = 2.0
_MOST_S: Final = 60.0


async def clear(actor: TaskActor) -> None:
    """Try until nothing is left; a task that was destroyed meanwhile is then forgotten.

    Raises:
        StoreError: an outcome could not be stored; ask again.
    """
    backoff = Backoff(_FIRST_S, _MOST_S)
    while actor.task.leftovers:
        for key in actor.task.leftovers:
            await _try(actor, key)
        if actor.task.leftovers:
            await backoff.pause()
    if actor.task.destroyed:
        await actor.runtime.journal.close_stream(actor.task.id, actor.runtime.now_ns())
        actor.runtime.actors.pop(actor.task.id, None)


async def _try(actor: TaskActor, key: str) -> None:
    step = actor.task.step(key)
    handler = HANDLERS[step.kind]
    try:
        actor.read_private()
        async with actor.runtime.exclusive(handler.exclusive(actor.context, step)):
            result = await handler.perform(actor.context, step, {})
        await actor.apply(cmd.Conclude(key, result))
    except DriverError as error:
        _log.warning("still left over", task_id=actor.task.id, step=key, error=str(error))
