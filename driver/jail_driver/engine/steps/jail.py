"""The kernel jail, its limits and its interfaces."""

from __future__ import annotations

from typing_extensions import override

from jail_driver.engine.steps.base import Context, Handler, Result
from jail_driver.errors import HostError
from jail_driver.host.errors import ExistsError, MissingError
from jail_driver.host.port import Rule
from jail_state.core.reconcile import Seen, StepSeen
from jail_state.core.steps import Step


class Jail(Handler):
    """``jail -c``: creates the kernel jail, always persistent, and nothing else."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        if ctx.private is None:
            raise HostError("create the jail", f"{ctx.directory.private} is gone")
        name = step.args["name"]
        try:
            jid = await ctx.host.create_jail(
                name, ctx.directory.root, ctx.private.params, lock=ctx.lock(step)
            )
        except ExistsError as error:
            raise HostError(f"create jail {name}", "a jail of this name exists and is not ours") from error
        return {"jid": jid}

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        # A dying one was made too: somebody removed it meanwhile, and the teardown has to wait for it.
        seen = await ctx.jail()
        return StepSeen(Seen.NOT_DONE) if seen is None else StepSeen(Seen.DONE, {"jid": seen.jid})


class JailRemove(Handler):
    """``jail -R JID``: a jail that is gone already is fine."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        seen = await ctx.jail()
        if seen is not None and not seen.dying:
            await ctx.host.remove_jail(seen.jid, lock=ctx.lock(step))
        return {}


class JailGone(Handler):
    """Waits until ``jls -d`` no longer shows the jail: jail_remove(2) returns before that."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        seen = await ctx.jail()
        if seen is None:
            return {}
        state = "dying: a process, socket or mount still holds it" if seen.dying else "alive"
        raise HostError(f"wait for jail {seen.jid} ({seen.name}) to go", f"it is still {state}")


class RuleAdd(Handler):
    """``rctl -a``: rules bind to a name, so they are in force before the jail exists."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        args = step.args
        rule = Rule(ctx.task.plan.jail_name, args["resource"], args["action"], args["amount"], args["per"])
        await ctx.host.add_rule(rule, lock=ctx.lock(step))
        if rule.action == "devctl":
            ctx.evidence.listen_for(ctx.task)
        return {}


class RulesRemove(Handler):
    """``rctl -r jail:NAME``: rules outlive the jail, so this comes last."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        await ctx.host.remove_rules(ctx.task.plan.jail_name, lock=ctx.lock(step))
        return {}


class Interface(Handler):
    """``ifconfig IF vnet JID``: moves an interface into the jail's own network stack."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        jid = _jid(ctx, step)
        await ctx.host.give_interface(step.args["interface"], jid, lock=ctx.lock(step))
        return {"jid": jid}

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        jid = _jid(ctx, step)
        try:
            given = step.args["interface"] in await ctx.host.interfaces(jid)
        except MissingError:
            given = False  # with the jail its interfaces went back to the host
        return StepSeen(Seen.DONE, {"jid": jid}) if given else StepSeen(Seen.NOT_DONE)


class InterfaceBack(Handler):
    """``ifconfig IF -vnet JID``: before the jail is removed, so that exec.poststop finds it."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        seen = await ctx.jail()
        if seen is not None:
            await ctx.host.take_interface(step.args["interface"], seen.jid, lock=ctx.lock(step))
        return {}


def _jid(ctx: Context, step: Step) -> int:
    if ctx.task.jid is None:
        raise HostError(step.key, "the jail has no jid")
    return ctx.task.jid
