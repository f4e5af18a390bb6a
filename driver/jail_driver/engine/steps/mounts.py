"""The view: nullfs of Path in the state directory, with everything else mounted inside."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from jail_driver.engine.steps.base import Context, Handler, Result, seen_before, undone
from jail_driver.engine.steps.safe import is_empty_directory, safe_target
from jail_driver.errors import HostError
from jail_driver.host.port import MountSeen
from jail_state.core.reconcile import Seen, StepSeen
from jail_state.core.steps import Step


def _target(ctx: Context, step: Step) -> Path:
    inside = step.args["inside"]
    return ctx.directory.root if inside == "/" else safe_target(ctx.directory.root, inside)


def _place(ctx: Context, step: Step) -> str:
    """Return where a mount shows in the table; nothing is looked up, somebody may have put a link there."""
    inside = step.args["inside"]
    return str(ctx.directory.root if inside == "/" else ctx.inside(inside))


class Mount(Handler):
    """Mounts one file system; the host adapter verifies where it landed.

    Where the mount point is an empty directory it is mounted with ``emptydir`` (mount(8)): somebody who swaps
    it for a link in between could otherwise cover a directory of the host until the adapter has looked.
    """

    @override
    async def before(self, ctx: Context, step: Step) -> Result:
        target = str(_target(ctx, step))
        mounts = await ctx.host.mounts()
        return {
            "below": [seen.fsid for seen in mounts if seen.target == target],
            "same": [seen.fsid for seen in mounts if _same(seen, step)],
        }

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        args = step.args
        inside, source = args["inside"], args["source"]
        if args["fstype"] == "nullfs" and not Path(source).exists():
            what = f'Path = "{source}"' if inside == "/" else f"mount {inside}"
            raise HostError(what, f"{source}: no such directory")
        target = _target(ctx, step)
        options = list(args["options"])
        if is_empty_directory(target):
            options.append("emptydir")
        elif args.get("clean"):
            why = f"{inside} of Path is not an empty directory, and the mount would hide what is in it; empty it"
            raise HostError(f"mount {inside}", why)
        try:
            seen = await ctx.host.mount(args["fstype"], source, target, options, lock=ctx.lock(step))
        except HostError as error:
            if "Not a directory" in error.why and target.is_file():
                why = f"{error.why}: single files can be mounted from FreeBSD 14.0 on"
                raise HostError(error.what, why) from error
            raise
        return {"fsid": seen.fsid, "target": seen.target}

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        target = _place(ctx, step)
        known = before.get("below", ())
        mounts = await ctx.host.mounts()
        for seen in reversed(mounts):
            if seen.target == target and seen.fsid not in known:
                return StepSeen(Seen.DONE, {"fsid": seen.fsid, "target": seen.target})
        strays = _strays(ctx, step, before, mounts)
        if strays:
            return StepSeen(Seen.UNKNOWN, reason=f"it landed on {strays[0].target}: a link on the way?")
        return StepSeen(Seen.NOT_DONE)


class Unmount(Handler):
    """Unmounts by fsid where one is known, else what stands at the place, or strayed; never anything else."""

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
        root, target = str(ctx.directory.root), _place(ctx, step)
        mounts = await ctx.host.mounts()
        if fsid:
            # A jailed root may have moved nothing, but the fsid alone could have been reused after a
            # reboot: both must agree.
            inside = [seen for seen in mounts if seen.target == root or seen.target.startswith(f"{root}/")]
            ours = [seen for seen in inside if seen.fsid == fsid]
            # What still stands in the view when the view goes (a hook's mount, one whose fsid is not what it
            # was) lies under our state directory, so it is ours; it would keep the root busy for ever.
            rest = [seen for seen in reversed(inside) if seen.target != root] if target == root else []
            return [*rest, *ours]
        there = [seen for seen in mounts if seen.target == target][-1:]
        return [*there, *_strays(ctx, step, seen_before(ctx, step), mounts)]


class Device(Handler):
    """Shows a device file in the jail's /dev: repeatable, and gone with the devfs."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        await ctx.host.show_device(
            safe_target(ctx.directory.root, "/dev"), step.args["device"], lock=ctx.lock(step)
        )
        return {}


def _same(seen: MountSeen, step: Step) -> bool:
    return seen.fstype == "nullfs" and (seen.fstype, seen.source) == (
        step.args["fstype"],
        step.args["source"],
    )


def _strays(ctx: Context, step: Step, before: Result, mounts: Iterable[MountSeen]) -> list[MountSeen]:
    """What the step's command mounted elsewhere, when nobody lived to look where it landed.

    The sources of a task's own directories are mounted by us alone, always below our state directory. What
    was there before, and every other file system, is not ours.
    """
    if "same" not in before or ctx.task.boot_id != ctx.task.plan.boot_id or not _only_ours(ctx, step):
        return []
    ours = str(ctx.directory.path.parent)
    return [
        seen
        for seen in mounts
        if _same(seen, step)
        and seen.fsid
        and seen.fsid not in before["same"]
        and not seen.target.startswith(f"{ours}/")
    ]


def _only_ours(ctx: Context, step: Step) -> bool:
    source = str(step.args["source"])
    return source.startswith((f"{ctx.task.plan.alloc_dir}/", f"{ctx.directory.path}/"))
