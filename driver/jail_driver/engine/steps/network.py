"""A jail's own network: a pair to a bridge, interfaces that move in, addresses and routes inside."""

from __future__ import annotations

from typing_extensions import override

from jail_driver.engine.absent import no_bridge, no_interface
from jail_driver.engine.steps.base import Context, Handler, Result
from jail_driver.errors import HostError
from jail_driver.host.errors import ExistsError, MissingError
from jail_state.core.ids import task_hash
from jail_state.core.reconcile import Seen, StepSeen
from jail_state.core.steps import Progress, Step, StepKind
from jail_state.core.task import Task

_FIRST_UNIT = 1000
_UNITS = 30000
"""The kernel's numbers end at 32767 (if_clone(9)); a pair may hide both its ends in jails, so ours are spread."""
_TAKEN = "is there already and is not ours"


def pair(task: Task) -> tuple[str, str]:
    """Return the names of the task's own pair: the host's end, the jail's end.

    Raises:
        HostError: none was ever announced.
    """
    step = task.step_of(StepKind.EPAIR)
    record = task.records.get(step.key) if step is not None else None
    if record is None or "unit" not in record.before:
        raise HostError("find the jail's pair of interfaces", "none was made")
    return f"epair{record.before['unit']}a", f"epair{record.before['unit']}b"


def name_of(ctx: Context, step: Step) -> str:
    """Return the interface of a step; an empty name in the plan means the end of our own pair."""
    return str(step.args["interface"]) or pair(ctx.task)[1]


def jid_of(ctx: Context, step: Step) -> int:
    """Return the jail's number.

    Raises:
        HostError: the jail has none.
    """
    if ctx.task.jid is None:
        raise HostError(step.key, "the jail has no jid")
    return ctx.task.jid


class _Pairs(Handler):
    @override
    def exclusive(self, ctx: Context, step: Step) -> str | None:
        return "epair"


class Epair(_Pairs):
    """``ifconfig epairN create``, with a number that is announced before, so that a crash loses no pair."""

    @override
    async def before(self, ctx: Context, step: Step) -> Result:
        taken = set(await ctx.host.interfaces())
        for other in ctx.others():
            record = other.records.get(step.key)
            if record is not None and "unit" in record.before:
                taken.add(f"epair{record.before['unit']}a")
        first = int(task_hash(ctx.task.id)[:8], 16)
        for offset in range(_UNITS):
            unit = _FIRST_UNIT + (first + offset) % _UNITS
            if taken.isdisjoint((f"epair{unit}a", f"epair{unit}b")):
                return {"unit": unit}
        raise HostError("make a pair of interfaces", "no number is free")

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        try:
            await ctx.host.create_epair(before["unit"], lock=ctx.lock(step))
        except ExistsError as error:
            raise HostError(f"make epair{before['unit']}", _TAKEN) from error
        return {}

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        there = f"epair{before.get('unit')}a" in await ctx.host.interfaces()
        return StepSeen(Seen.DONE if there else Seen.NOT_DONE)


class EpairDestroy(_Pairs):
    """``ifconfig epairNa destroy``: both ends go, wherever they are, and the bridge loses its member."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        record = ctx.task.records[step.undoes or ""]
        theirs = record.progress is Progress.FAILED and _TAKEN in record.error
        if theirs or "unit" not in record.before or ctx.task.boot_id != ctx.task.plan.boot_id:
            return {"kept": True}  # after a reboot one of that number is somebody else's
        await ctx.host.destroy_interface(pair(ctx.task)[0], lock=ctx.lock(step))
        return {}


class Bridge(Handler):
    """``ifconfig BRIDGE addm epairNa``: repeatable; the member leaves with the pair."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        bridge = step.args["bridge"]
        try:
            await ctx.host.join_bridge(bridge, pair(ctx.task)[0], lock=ctx.lock(step))
        except MissingError as error:
            raise no_bridge(bridge) from error
        return {}


class Interface(Handler):
    """``ifconfig IF vnet JID``: moves an interface into the jail's own network stack."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        jid, name = jid_of(ctx, step), name_of(ctx, step)
        try:
            await ctx.host.give_interface(name, jid, lock=ctx.lock(step))
        except MissingError as error:
            there = await ctx.host.interfaces()
            if name in there:
                raise  # it is the jail that is gone
            raise no_interface(f'Vnet_nic = "{name}"', name, there) from error
        return {"jid": jid}

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        jid = jid_of(ctx, step)
        try:
            given = name_of(ctx, step) in await ctx.host.interfaces(jid)
        except MissingError:
            given = False  # with the jail its interfaces went back to the host
        return StepSeen(Seen.DONE, {"jid": jid}) if given else StepSeen(Seen.NOT_DONE)


class InterfaceBack(Handler):
    """``ifconfig IF -vnet JID``: before the jail is removed, so that exec.poststop finds it."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        seen = await ctx.jail()
        if seen is not None:
            await ctx.host.take_interface(name_of(ctx, step), seen.jid, lock=ctx.lock(step))
        return {}


class Inside(Handler):
    """Sets an address inside: repeatable, and gone with the jail's network."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        args = step.args
        name = name_of(ctx, step)
        await ctx.host.add_inside(
            jid_of(ctx, step), name, args["address"], args["prefix"], lock=ctx.lock(step)
        )
        return {"interface": name}


class Route(Handler):
    """Sets the default route inside: repeatable, and gone with the jail's network."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        await ctx.host.add_default_route(jid_of(ctx, step), step.args["gateway"], lock=ctx.lock(step))
        return {}
