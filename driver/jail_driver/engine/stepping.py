"""One step: its intent before the effect, its outcome after it.

The plugin may die between any two lines of this file; what is left then is at most one intent without an
outcome, and ``recovery`` settles it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from jail_driver import log
from jail_driver.backoff import Backoff
from jail_driver.engine import interrupt
from jail_driver.engine.faults import Point
from jail_driver.engine.steps import HANDLERS, Handler
from jail_driver.errors import ConfigError, DriverError
from jail_state.core import commands as cmd
from jail_state.core.errors import CoreError
from jail_state.core.steps import Step, StepKind
from jail_state.store.errors import StoreError

if TYPE_CHECKING:
    from jail_driver.engine.work import TaskWork

_log = log.get("engine")

RETRY_FIRST_S: Final = 0.05
RETRY_MOST_S: Final = 2.0


async def go_up(work: TaskWork, step: Step) -> None:
    """Perform a step of the start, once; its failure begins the teardown.

    Raises:
        StoreError, CoreError: nothing was announced, nothing was done.
    """
    handler = HANDLERS[step.kind]
    async with work.runtime.exclusive(handler.exclusive(work.context, step)):
        await conclude(work, step, await _outcome_up(work, step, handler))


async def _outcome_up(work: TaskWork, step: Step, handler: Handler) -> cmd.Command:
    faults = work.runtime.faults
    intended = False
    try:
        work.read_private()
        await faults.announce(Point.BEFORE_INTENT, step.key)
        before = await handler.before(work.context, step)
        await work.apply(cmd.Intend(step.key, before))
        intended = True
        await faults.announce(Point.AFTER_INTENT, step.key)
        result = await interrupt.perform(work.context, step, before)
        await faults.announce(Point.AFTER_EFFECT, step.key)
    except (StoreError, CoreError):
        if not intended:
            raise  # nothing was announced: the whole step is tried again
        return cmd.Fail(step.key, f"{step.key}: the journal failed in the middle of it")
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not leave the step in flight
        if not intended:
            # Nothing was done, but the journal takes a failure only after an intent.
            await work.apply(cmd.Intend(step.key))
        recoverable = not isinstance(error, ConfigError)
        return cmd.Fail(step.key, _words(work, step, error), recoverable=recoverable)
    return cmd.Conclude(step.key, result)


async def go_down(work: TaskWork, step: Step) -> None:
    """Perform a teardown step; all but hooks are tried again until the deadline.

    Raises:
        StoreError, CoreError, HostError: nothing was announced, nothing was done.
    """
    handler = HANDLERS[step.kind]
    async with work.runtime.exclusive(handler.exclusive(work.context, step)):
        work.read_private()
        await work.runtime.faults.announce(Point.BEFORE_INTENT, step.key)
        before = await handler.before(work.context, step)
        await work.apply(cmd.Intend(step.key, before))
        await work.runtime.faults.announce(Point.AFTER_INTENT, step.key)
        await conclude(work, step, await _outcome_down(work, step, before))


async def _outcome_down(work: TaskWork, step: Step, before: Mapping[str, Any]) -> cmd.Command:
    backoff = Backoff(RETRY_FIRST_S, RETRY_MOST_S)
    while True:
        try:
            result = await interrupt.perform(work.context, step, before)
            await work.runtime.faults.announce(Point.AFTER_EFFECT, step.key)
            return cmd.Conclude(step.key, result)
        except Exception as error:  # noqa: BLE001  # whatever it is, the teardown goes on
            words = _words(work, step, error)
            if step.kind is StepKind.HOOK:
                return cmd.Fail(step.key, words)
            if _deadline_passed(work):
                return cmd.Abandon(step.key, words)
            _log.warning("will try again", task_id=work.task.id, step=step.key, error=words)
        await backoff.pause()


def _deadline_passed(work: TaskWork) -> bool:
    """Whether this plugin has tried for so long; never by the wall clock, which may be set meanwhile."""
    since_s = work.teardown_since_s
    return since_s is not None and time.monotonic() - since_s > work.runtime.options.teardown_deadline_s


def _words(work: TaskWork, step: Step, error: Exception) -> str:
    """Return what a failure says of itself; a defect of ours is logged whole."""
    if isinstance(error, DriverError):
        return str(error)
    _log.exception("a step failed in an unforeseen way", task_id=work.task.id, step=step.key)
    return f"{step.key}: {error!r}"


async def conclude(work: TaskWork, step: Step, outcome: cmd.Command) -> None:
    """Append an outcome. It is a fact by now: while the store refuses, it is kept and tried again."""
    backoff = Backoff(RETRY_FIRST_S, RETRY_MOST_S)
    while True:
        try:
            await work.apply(outcome)
            break
        except StoreError:
            _log.exception("cannot store an outcome now", task_id=work.task.id, step=step.key)
            if work.task.in_flight is None:
                break  # it was stored although the store said no
        await backoff.pause()
    await work.runtime.faults.announce(Point.AFTER_OUTCOME, step.key)
