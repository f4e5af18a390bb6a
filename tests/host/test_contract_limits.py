"""The contract of every host: limits by a jail's name."""

from __future__ import annotations

import asyncio

import pytest

from host.worlds import Enter, World
from jail_driver.host.port import Rule


class TestLimits:
    """Rules by a jail's name."""

    def test_a_life(self, world: World) -> None:
        """Rules exist before their jail, are read back in bytes, are replaced, and are removed by name."""

        async def scenario() -> None:
            await _need_racct(world)
            await world.host.add_rule(Rule("contract-x", "memoryuse", "deny", "64M"))
            await world.host.add_rule(Rule("contract-x", "maxproc", "deny", "20", "user"))
            await world.host.add_rule(Rule("contract-x2", "maxproc", "deny", "9"))
            await world.host.add_rule(Rule("contract-x", "memoryuse", "deny", "1G", "jail"))
            try:
                assert {rule.text() for rule in await world.host.rules("contract-x")} == {
                    "jail:contract-x:memoryuse:deny=1073741824",
                    "jail:contract-x:maxproc:deny=20/user",
                }
                await world.host.remove_rules("contract-x")
                assert await world.host.rules("contract-x") == ()
                assert len(await world.host.rules("contract-x2")) == 1
                await world.host.remove_rules("contract-x")
            finally:
                await world.host.remove_rules("contract-x")
                await world.host.remove_rules("contract-x2")

        asyncio.run(scenario())

    @pytest.mark.parametrize(
        "rule",
        [
            Rule("contract-y", "cputime", "deny", "5"),
            Rule("contract-y", "memoryuse", "throttle", "5M"),
            Rule("contract-y", "memoryuse", "deny", "1.5G"),
        ],
        ids=Rule.text,
    )
    def test_refused_by_the_kernel(self, world: World, rule: Rule) -> None:
        """A combination that FreeBSD refuses is refused everywhere, and leaves no rule."""

        async def scenario() -> None:
            await _need_racct(world)
            error = await world.refused(world.host.add_rule(rule))
            assert rule.text() in str(error)
            assert await world.host.rules("contract-y") == ()

        asyncio.run(scenario())

    def test_switched_off(self, enter: Enter) -> None:
        """Without the loader's tunable there are no rules, none can be added, and removal is fine."""
        world = enter(racct=False)

        async def scenario() -> None:
            assert await world.host.racct_enabled() is False
            assert await world.host.rules("contract-z") == ()
            error = await world.refused(world.host.add_rule(Rule("contract-z", "maxproc", "deny", "5")))
            assert "disabled" in str(error)
            await world.host.remove_rules("contract-z")

        asyncio.run(scenario())


async def _need_racct(world: World) -> None:
    if not await world.host.racct_enabled():
        pytest.skip("kern.racct.enable is 0 on this kernel")


class TestProcessors:
    """What a jail may run on, and single values of the kernel."""

    def test_bound_and_refused(self, world: World) -> None:
        """A jail is bound to a processor that is there, as often as asked; a missing one is refused."""

        async def scenario() -> None:
            jid = await world.host.create_jail("contract-cpu", world.directory("root"), {})
            try:
                await world.host.bind_cpus(jid, "0")
                await world.host.bind_cpus(jid, "0")
                error = await world.refused(world.host.bind_cpus(jid, "1000"))
                assert "setaffinity" in str(error)
            finally:
                await world.host.remove_jail(jid)
                await world.gone(jid)
            error = await world.refused(world.host.bind_cpus(jid, "0"))
            assert f"jail {jid} not found" in str(error)

        asyncio.run(scenario())

    def test_kernel_values(self, world: World) -> None:
        """A value is text without its line's end; a name that the kernel lacks is None, not an error."""

        async def scenario() -> None:
            ncpu = await world.host.kernel_value("hw.ncpu")
            assert ncpu is not None
            assert int(ncpu) >= 1
            assert await world.host.kernel_value("hw.no_such_name") is None

        asyncio.run(scenario())
