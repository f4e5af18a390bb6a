"""The view: nullfs of Path in the state directory, with everything else mounted inside."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from jail_driver.engine.steps.base import Context, Handler, Result, undone
from jail_driver.engine.steps.shared import safe_target
from jail_driver.errors import HostError
from jail_driver.host.port import MountSeen
from jail_state.core.reconcile import Seen, StepSeen
from jail_state.core.steps import Step


def _target(ctx: Context, step: Step) -> Path:
    inside = step.args["inside"]
    return ctx.directory.root if inside == "/" else safe_target(ctx.directory.root, inside)


class Mount(Handler):
    """Mounts one file system; the host adapter verifies where it landed."""

    @override
    async def before(self, ctx: Context, step: Step) -> Result:
        target = str(_target(ctx, step))
        return {"below": [seen.fsid for seen in await ctx.host.mounts() if seen.target == target]}

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        args = step.args
        inside, source = args["inside"], args["source"]
        if args["fstype"] == "nullfs" and not Path(source).exists():
            what = "Path" if inside == "/" else f"mount {inside}"
            raise HostError(f'{what} = "{source}"' if inside == "/" else what, f"{source}: no such directory")
        seen = await ctx.host.mount(
            args["fstype"], source, _target(ctx, step), args["options"], lock=ctx.lock(step)
        )
        return {"fsid": seen.fsid, "target": seen.target}

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        target = str(_target(ctx, step))
        known = before.get("below", ())
        for seen in reversed(await ctx.host.mounts()):
            if seen.target == target and seen.fsid not in known:
                return StepSeen(Seen.DONE, {"fsid": seen.fsid, "target": seen.target})
        return StepSeen(Seen.NOT_DONE)


class Unmount(Handler):
    """Unmounts by fsid where one is known, else what stands at the place; never anything else."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        for seen in await self._ours(ctx, step):
            await ctx.host.unmount(seen, lock=ctx.lock(step))
        left = await self._ours(ctx, step)
        if left:
            raise HostError(f"unmount {left[0].target}", "it is still mounted")
        return {}

    async def _ours(self, ctx: Context, step: Step) -> list[MountSeen]:
        record = undone(ctx, step)
        fsid = record.get("fsid", "")
        root = str(ctx.directory.root)
        target = root if step.args["inside"] == "/" else str(ctx.inside(step.args["inside"]))
        mounts = await ctx.host.mounts()
        if fsid:
            # A jailed root may have moved nothing, but the fsid alone could have been reused after a
            # reboot: both must agree.
            inside = [seen for seen in mounts if seen.target == root or seen.target.startswith(f"{root}/")]
            return [seen for seen in inside if seen.fsid == fsid]
        return [seen for seen in mounts if seen.target == target][-1:]
