"""What a teardown could not remove by its deadline: named, and still tried, ever more rarely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jail_driver import log
from jail_driver.backoff import Backoff
from jail_driver.engine.steps import HANDLERS
from jail_driver.errors import DriverError
from jail_state.core import commands as cmd

if TYPE_CHECKING:
    from jail_driver.engine.work import TaskWork

_log = log.get("engine")
_FIRST_S: Final = 2.0
_MOST_S: Final = 60.0


async def clear(work: TaskWork) -> None:
    """Try until nothing is left; the keeper then forgets a task that was destroyed meanwhile.

    Raises:
        StoreError: an outcome could not be stored; ask again.
    """
    backoff = Backoff(_FIRST_S, _MOST_S)
    while work.task.leftovers:
        for key in work.task.leftovers:
            await _try(work, key)
        if work.task.leftovers:
            await backoff.pause()


async def _try(work: TaskWork, key: str) -> None:
    step = work.task.step(key)
    handler = HANDLERS[step.kind]
    try:
        work.read_private()
        async with work.runtime.exclusive(handler.exclusive(work.context, step)):
            result = await handler.perform(work.context, step, {})
        await work.apply(cmd.Conclude(key, result))
    except DriverError as error:
        _log.warning("still left over", task_id=work.task.id, step=key, error=str(error))
