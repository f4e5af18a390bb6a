"""Addresses and mount points: what several tasks may use at once.

One rule for both. What the host had before any of us is never ours; what one of us made is removed by the
last of us who uses it. The rule is read from the journals alone: ``before.ours`` of each user.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from jail_driver.engine.absent import address_without_interface
from jail_driver.engine.steps.base import Context, Handler, Result, holder, seen_before, uses
from jail_driver.engine.steps.safe import make, remove_empty, safe_target
from jail_driver.errors import HostError
from jail_driver.host.errors import MissingError
from jail_state.core.reconcile import Seen, StepSeen
from jail_state.core.steps import Step, StepKind


class _Shared(Handler):
    kind: StepKind

    def same(self, ctx: Context, step: Step) -> Callable[[Step], bool]:
        raise NotImplementedError

    def maker(self, ctx: Context, step: Step) -> Result | None:
        """Return what another of us saw before it made the thing: this user shares the duty to remove it."""
        same = self.same(ctx, step)
        found = (holder(other, self.kind, same) for other in ctx.others())
        return next((before for before in found if before is not None), None)

    def last(self, ctx: Context, step: Step) -> bool:
        """Whether the thing is ours and nobody else uses it."""
        if not seen_before(ctx, step).get("ours"):
            return False
        same = self.same(ctx, step)
        return not any(uses(other, self.kind, same) for other in ctx.others())


class _Addresses(_Shared):
    kind = StepKind.ADDRESS

    @override
    def same(self, ctx: Context, step: Step) -> Callable[[Step], bool]:
        return lambda other: other.args["address"] == step.args["address"]

    @override
    def exclusive(self, ctx: Context, step: Step) -> str | None:
        return f"address {step.args['address']}"

    async def present(self, ctx: Context, step: Step) -> str | None:
        """Return the interface that has the address now; None if none has."""
        for seen in await ctx.host.addresses():
            if seen.address == step.args["address"]:
                return seen.interface
        return None


class Address(_Addresses):
    """Adds an alias, unless any interface of the host has the address already.

    Adding an existing address replaces its mask and takes the connected route with it (recorded), so one
    that is there is used as it is, and never removed by us.
    """

    @override
    async def before(self, ctx: Context, step: Step) -> Result:
        present = await self.present(ctx, step) is not None
        return {"present": present, "ours": not present or self.maker(ctx, step) is not None}

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        if not before["present"]:
            await self._add(ctx, step)
        return {"added": not before["present"]}

    @staticmethod
    async def _add(ctx: Context, step: Step) -> None:
        interface, address = step.args["interface"], step.args["address"]
        try:
            await ctx.host.add_address(interface, address, step.args["prefix"], lock=ctx.lock(step))
        except MissingError as error:
            raise address_without_interface(interface, address, await ctx.host.interfaces()) from error

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        if before.get("present") or await self.present(ctx, step) is not None:
            return StepSeen(Seen.DONE, {"added": not before.get("present")})
        return StepSeen(Seen.NOT_DONE)


class AddressRemove(_Addresses):
    """Removes an alias that we added, once the last of us is done with it."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        if ctx.task.boot_id != ctx.task.plan.boot_id:
            return {"kept": True}  # ours went with the old boot: one that is there now is somebody else's
        if not self.last(ctx, step):
            return {"kept": True}
        await ctx.host.remove_address(step.args["interface"], step.args["address"], lock=ctx.lock(step))
        return {}


class _MountPoints(_Shared):
    kind = StepKind.MOUNT_POINT

    @override
    def same(self, ctx: Context, step: Step) -> Callable[[Step], bool]:
        return lambda other: other.args.get("place") == step.args["place"]

    @override
    def exclusive(self, ctx: Context, step: Step) -> str | None:
        return f"mount-point {step.args['place']}"

    def base(self, ctx: Context, step: Step) -> Path:
        """Return the root to make it in: the view, or Path where the view is read-only."""
        return Path(step.args["path"]) if step.args["through"] == "path" else ctx.directory.root


class MountPoint(_MountPoints):
    """Makes a missing mount point, through the view, with the directories above it."""

    @override
    async def before(self, ctx: Context, step: Step) -> Result:
        root = self.base(ctx, step)
        target = safe_target(root, step.args["inside"])
        missing = []
        while not target.exists():
            missing.append("/" + str(target.relative_to(root)))
            target = target.parent
        if missing:
            return {"ours": True, "made": missing}
        maker = self.maker(ctx, step)
        return {"ours": maker is not None, "made": list(maker["made"]) if maker else []}

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        made = before["made"]
        for inside in reversed(made):
            try:
                make(self.base(ctx, step), inside, file=step.args["make"] == "file" and inside == made[0])
            except OSError as error:
                why = (
                    f"{step.args['path']} has no {inside} and it cannot be made there ({error.strerror});"
                    " make it in Path"
                )
                raise HostError(f"mount {step.args['inside']}", why) from error
        return {}

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        """What was made must stay known: a step that is simply done again would find it, and call it theirs."""
        base = self.base(ctx, step)
        made = [os.path.lexists(f"{base}{inside}") for inside in before.get("made", ())]
        if all(made):
            return StepSeen(Seen.DONE)
        if not any(made):
            return StepSeen(Seen.NOT_DONE)
        return StepSeen(Seen.UNKNOWN, reason="some of its directories were made, some not")


class MountPointRemove(_MountPoints):
    """Removes the mount points that we made, once the last of us is done with them and they are empty."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        if not self.last(ctx, step):
            return {"kept": True}
        for inside in seen_before(ctx, step).get("made", ()):
            try:
                remove_empty(self.base(ctx, step), inside)
            except OSError as error:
                # Something was put there meanwhile: it is the user's now.
                return {"kept": True, "why": error.strerror}
        return {}
