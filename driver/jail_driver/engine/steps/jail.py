"""The kernel jail, its limits and its interfaces."""

from __future__ import annotations

from typing_extensions import override

from jail_driver.engine.steps.base import Context, Handler, Result
from jail_driver.errors import HostError
from jail_driver.host.errors import ExistsError
from jail_driver.host.port import Rule
from jail_state.core.reconcile import Seen, StepSeen
from jail_state.core.steps import Step, StepKind


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
        except HostError as error:
            if "addresses clash" in error.why:
                raise HostError(error.what, f"{error.why}: {_clash(ctx, step)}") from error
            raise
        return {"jid": jid}

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        # A dying one was made too: somebody removed it meanwhile, and the teardown has to wait for it.
        seen = await ctx.jail()
        return StepSeen(Seen.NOT_DONE) if seen is None else StepSeen(Seen.DONE, {"jid": seen.jid})


def _clash(ctx: Context, step: Step) -> str:
    """Name who holds the address: jails may share one only if each has no other (kern_jail.c)."""
    mine = set(step.args.get("addresses", ()))
    rule = "jails may share an address only if none of them has another"
    for other in ctx.others():
        jail = other.step_of(StepKind.JAIL)
        shared = mine.intersection(jail.args.get("addresses", ())) if jail is not None else None
        if shared:
            plan = other.plan
            who = f"task {plan.task_name} of job {plan.job_id} (allocation {plan.alloc_id})"
            return f"{', '.join(sorted(shared))} is in use by {who}, and {rule}"
    return f"one of {', '.join(sorted(mine))} is in use by a jail that is not this driver's, and {rule}"


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

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        # The amount is left out: rctl(8) shows "64M" as plain bytes, and the name is nobody else's.
        wanted = (step.args["resource"], step.args["action"], step.args["per"])
        for rule in await ctx.host.rules(ctx.task.plan.jail_name):
            if (rule.resource, rule.action, rule.per) == wanted:
                return StepSeen(Seen.DONE)
        return StepSeen(Seen.NOT_DONE)


class RulesRemove(Handler):
    """``rctl -r jail:NAME``: rules outlive the jail, so this comes last."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        await ctx.host.remove_rules(ctx.task.plan.jail_name, lock=ctx.lock(step))
        return {}
