"""What a jail gets once it exists: processors and ZFS datasets."""

from __future__ import annotations

from typing_extensions import override

from jail_driver.engine.steps.base import Context, Handler, Result
from jail_driver.errors import HostError
from jail_state.core.steps import Step


class Cpus(Handler):
    """``cpuset -l CPUS -j JID``: repeatable, and gone with the jail."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        await ctx.host.bind_cpus(_jid(ctx, step), step.args["cpus"], lock=ctx.lock(step))
        return {}


class Dataset(Handler):
    """``zfs jail JID DATASET``: repeatable, one that the jail has already is fine."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        await ctx.host.attach_dataset(_jid(ctx, step), step.args["dataset"], lock=ctx.lock(step))
        return {}


class DatasetBack(Handler):
    """``zfs unjail``, after what the jail mounted of the dataset: that would keep the view busy for ever."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        dataset = step.args["dataset"]
        for seen in reversed(await ctx.host.mounts()):
            below = seen.source == dataset or seen.source.startswith(f"{dataset}/")
            if seen.fstype == "zfs" and below and seen.target.startswith(f"{ctx.directory.root}/"):
                await ctx.host.unmount(seen, lock=ctx.lock(step))
        if ctx.task.jid is not None and await ctx.jail() is not None:
            await ctx.host.detach_dataset(ctx.task.jid, dataset, lock=ctx.lock(step))
        return {}


def _jid(ctx: Context, step: Step) -> int:
    if ctx.task.jid is None:
        raise HostError(step.key, "the jail has no jid")
    return ctx.task.jid
