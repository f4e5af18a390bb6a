"""Performing a step so that whoever wants the task gone need not wait for what may take for ever.

Force ends a hook that is running, but for those that undo what others did (poststop, release). Any stop ends
the commands before main, which run inside the jail and may have no time-out of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from jail_driver.engine.steps import HANDLERS, Context
from jail_driver.errors import DriverError, HostError
from jail_state.core.lifecycle import State
from jail_state.core.steps import Step, StepKind

_UNDOING: Final = frozenset({"exec.poststop", "exec.release"})
_LOOK_S: Final = 0.2


async def perform(ctx: Context, step: Step, before: Mapping[str, Any]) -> Mapping[str, Any]:
    """Perform a step, with an ear for a stop.

    Raises:
        ConfigError, HostError: as the handler does; HostError too if it was interrupted.
    """
    work = asyncio.ensure_future(HANDLERS[step.kind].perform(ctx, step, before))
    try:
        if step.kind is StepKind.HOOK and step.args["hook"] not in _UNDOING:
            await _unless_forced(ctx, step, work)
        elif step.kind is StepKind.MAIN:
            await _unless_stopped(ctx, work)
        return await work
    finally:
        work.cancel()


async def _unless_forced(ctx: Context, step: Step, work: asyncio.Future[Any]) -> None:
    if ctx.force is None:
        return
    forced = asyncio.ensure_future(ctx.force.wait())
    try:
        await asyncio.wait({work, forced}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        forced.cancel()
    if not work.done():
        # The hook's process group is killed with it.
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        raise HostError(step.key, "interrupted: the task is to be gone by force")


async def _unless_stopped(ctx: Context, work: asyncio.Future[Any]) -> None:
    """End what runs in the jail once a stop was asked for: the supervisor then reports a failed start."""
    while not work.done():
        await asyncio.wait({work}, timeout=_LOOK_S)
        if not work.done() and ctx.task.state is State.PRESTOP:
            with contextlib.suppress(DriverError):
                seen = await ctx.jail()
                if seen is not None and not seen.dying:
                    await ctx.host.kill_processes(seen.jid, "SIGKILL")
