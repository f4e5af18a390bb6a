"""The contract of every host: addresses and interfaces."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from host.worlds import World
from jail_driver.host.errors import ExistsError, MissingError
from jail_driver.host.port import AddressSeen


class TestAddresses:
    """Aliases on the host's interfaces."""

    @pytest.mark.parametrize(
        ("address", "prefix", "other", "replaced"),
        [("127.0.53.7", 24, 32, True), ("fd00:53::7", 64, 128, False)],
        ids=["inet", "inet6"],
    )
    def test_a_life(self, world: World, address: str, prefix: int, other: int, *, replaced: bool) -> None:
        """An alias is seen once, removal can be repeated.

        Adding it again replaces its mask; that of an IPv6 address cannot be changed (netinet6/in6.c).
        """

        async def scenario() -> None:
            before = await world.host.addresses()
            await world.host.add_address("lo0", address, prefix)
            assert AddressSeen("lo0", address, prefix) in await world.host.addresses()
            await world.host.add_address("lo0", address, prefix)
            if replaced:
                await world.host.add_address("lo0", address, other)
            else:
                assert "Invalid argument" in str(
                    await world.refused(world.host.add_address("lo0", address, other))
                )
            ours = [seen for seen in await world.host.addresses() if seen.address == address]
            await world.host.remove_address("lo0", address)
            assert ours == [AddressSeen("lo0", address, other if replaced else prefix)]
            await world.host.remove_address("lo0", address)
            assert await world.host.addresses() == before

        asyncio.run(scenario())

    def test_no_such_interface(self, world: World) -> None:
        """Adding needs the interface; removing does not."""

        async def scenario() -> None:
            error = await world.refused(world.host.add_address("nosuch0", "127.0.53.8", 32))
            assert isinstance(error, MissingError)
            await world.host.remove_address("nosuch0", "127.0.53.8")

        asyncio.run(scenario())


class TestInterfaces:
    """Pairs, and vnet jails that own one end."""

    def test_an_epair(self, world: World) -> None:
        """A unit exists once, with both ends, and destroying it can be repeated."""

        async def scenario() -> None:
            ends = await world.host.create_epair(53)
            try:
                assert ends == ("epair53a", "epair53b")
                assert set(ends) <= set(await world.host.interfaces())
                assert isinstance(await world.refused(world.host.create_epair(53)), ExistsError)
            finally:
                await world.host.destroy_interface("epair53a")
            assert set(ends).isdisjoint(await world.host.interfaces())
            await world.host.destroy_interface("epair53b")

        asyncio.run(scenario())

    def test_the_next_free_epair(self, world: World) -> None:
        """Without a number the system chooses one."""

        async def scenario() -> None:
            before = set(await world.host.interfaces())
            ends = await world.host.create_epair()
            assert set(ends) == set(await world.host.interfaces()) - before
            await world.host.destroy_interface(ends[0])

        asyncio.run(scenario())

    def test_given_and_taken_back(self, world: World) -> None:
        """An interface is in one place at a time; taking back can be repeated, with the jail or without."""

        async def scenario() -> None:
            _, end = await world.host.create_epair(54)
            try:
                jid = await world.host.create_jail("contract-v", Path("/"), {"vnet": None})
                await world.host.give_interface(end, jid)
                assert end not in await world.host.interfaces()
                assert end in await world.host.interfaces(jid)
                again = await world.refused(world.host.give_interface(end, jid))
                assert isinstance(again, MissingError)
                await world.host.take_interface(end, jid)
                assert end in await world.host.interfaces()
                await world.host.take_interface(end, jid)
                await world.host.remove_jail(jid)
                await world.gone(jid)
                await world.host.take_interface(end, jid)
                assert isinstance(await world.refused(world.host.give_interface(end, jid)), MissingError)
                assert isinstance(await world.refused(world.host.interfaces(jid)), MissingError)
            finally:
                await world.host.destroy_interface(end)

        asyncio.run(scenario())

    def test_removal_gives_interfaces_back(self, world: World) -> None:
        """An interface does not vanish with its jail."""

        async def scenario() -> None:
            _, end = await world.host.create_epair(55)
            try:
                jid = await world.host.create_jail("contract-w", Path("/"), {"vnet": None})
                await world.host.give_interface(end, jid)
                await world.host.remove_jail(jid)
                await world.gone(jid)
                for _ in range(100):
                    if end in await world.host.interfaces():
                        return
                    await asyncio.sleep(0.05)
                raise AssertionError(f"{end} did not come back")
            finally:
                await world.host.destroy_interface(end)

        asyncio.run(scenario())

    def test_inside(self, world: World) -> None:
        """Addresses and the default route inside may be set again; what is not there is said."""

        async def scenario() -> None:
            host = world.host
            _, end = await host.create_epair(56)
            try:
                jid = await host.create_jail("contract-x", Path("/"), {"vnet": None})
                assert isinstance(
                    await world.refused(host.add_inside(jid, end, "10.53.0.2", 24)), MissingError
                )
                await host.give_interface(end, jid)
                for _ in range(2):
                    await host.add_inside(jid, "lo0", "127.0.0.1", 8)
                    await host.add_inside(jid, end, "10.53.0.2", 24)
                    await host.add_inside(jid, end, "fd00:53::2", 64)
                await world.refused(host.add_default_route(jid, "10.54.0.1"))
                for _ in range(2):
                    await host.add_default_route(jid, "10.53.0.1")
                    await host.add_default_route(jid, "fd00:53::1")
                await host.remove_jail(jid)
                await world.gone(jid)
                assert isinstance(
                    await world.refused(host.add_inside(jid, end, "10.53.0.2", 24)), MissingError
                )
                assert isinstance(await world.refused(host.add_default_route(jid, "10.53.0.1")), MissingError)
            finally:
                await host.destroy_interface(end)

        asyncio.run(scenario())

    def test_no_such_bridge(self, world: World) -> None:
        """A bridge is the operator's: a missing one is an error, and so is a missing member."""

        async def scenario() -> None:
            end, _ = await world.host.create_epair(57)
            try:
                error = await world.refused(world.host.join_bridge("bridge53", end))
                assert isinstance(error, MissingError)
                error = await world.refused(world.host.join_bridge("bridge53", "epair58a"))
                assert isinstance(error, MissingError)
            finally:
                await world.host.destroy_interface(end)

        asyncio.run(scenario())
