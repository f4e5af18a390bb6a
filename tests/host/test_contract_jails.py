"""The contract of every host: the kernel, jails, their processes, their dying."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from host.worlds import WORLDS, Enter, World, why_no_freebsd
from jail_driver.host.command import InFlight, wait_in_flight
from jail_driver.host.errors import BusyError, ExistsError, HostError, MissingError


@pytest.mark.skipif(why_no_freebsd() != "", reason=why_no_freebsd())
def test_freebsd_itself_is_among_them() -> None:
    """Where the host is FreeBSD, its own commands are held to the suite as well."""
    assert "freebsd" in WORLDS


class TestKernel:
    """What can be asked of the kernel."""

    def test_facts(self, world: World) -> None:
        """Parameters by jail(8)'s names, a release, and a boot that stays the same boot."""

        async def scenario() -> None:
            names = await world.host.kernel_parameters()
            assert {"path", "name", "host.hostname", "allow.raw_sockets", "ip4.addr", "allow.mount"} <= names
            assert "allow" not in names
            assert (await world.host.release())[0].isdigit()
            assert await world.host.boot_id() == await world.host.boot_id() != ""

        asyncio.run(scenario())


class TestJails:
    """Creation, observation, removal."""

    def test_a_life(self, world: World) -> None:
        """A jail is seen with what it was made of, and removal can be repeated."""

        async def scenario() -> None:
            root = world.directory("root")
            odd = 'a;b {$HOME} "q"'
            jid = await world.host.create_jail(
                "contract-a", root, {"host.hostname": odd, "allow.raw_sockets": None}
            )
            [seen] = [jail for jail in await world.host.jails() if jail.jid == jid]
            assert (seen.name, seen.path, seen.hostname, seen.dying) == ("contract-a", str(root), odd, False)
            await world.host.remove_jail(jid)
            await world.gone(jid)
            await world.host.remove_jail(jid)

        asyncio.run(scenario())

    def test_meta_is_kept_where_the_kernel_has_it(self, world: World) -> None:
        """The task id in meta tells our jail from another one of its name."""

        async def scenario() -> None:
            if "meta" not in await world.host.kernel_parameters():
                pytest.skip("meta came with FreeBSD 15.0")
            jid = await world.host.create_jail("contract-m", Path("/"), {"meta": "task=1 a=b"})
            assert [jail.meta for jail in await world.host.jails() if jail.jid == jid] == ["task=1 a=b"]

        asyncio.run(scenario())

    def test_a_name_is_taken_while_its_jail_lives(self, world: World) -> None:
        """The second creation fails as ExistsError, and the first jail is untouched."""

        async def scenario() -> None:
            jid = await world.host.create_jail("contract-b", Path("/"), {})
            error = await world.refused(world.host.create_jail("contract-b", Path("/"), {}))
            assert isinstance(error, ExistsError)
            assert [jail.jid for jail in await world.host.jails() if jail.name == "contract-b"] == [jid]

        asyncio.run(scenario())

    def test_failed_creations_leave_nothing(self, world: World) -> None:
        """A missing root is a MissingError, an unknown parameter a HostError; no jail remains."""

        async def scenario() -> None:
            before = await world.host.jails()
            missing = await world.refused(world.host.create_jail("contract-c", world.scratch / "none", {}))
            assert isinstance(missing, MissingError)
            unknown = await world.refused(
                world.host.create_jail("contract-c", Path("/"), {"allow.nosuch": None})
            )
            assert type(unknown) is HostError
            assert "allow.nosuch" in str(unknown)
            assert await world.host.jails() == before

        asyncio.run(scenario())

    def test_many_at_once(self, world: World) -> None:
        """Creations and listings at the same time do not disturb each other."""

        async def one(number: int) -> int:
            jid = await world.host.create_jail(f"contract-n{number}", Path("/"), {})
            assert jid in {jail.jid for jail in await world.host.jails()}
            return jid

        async def scenario() -> None:
            jids = await asyncio.gather(*map(one, range(12)))
            assert len(set(jids)) == len(jids)
            await asyncio.gather(*map(world.host.remove_jail, jids))
            assert {jail.jid for jail in await world.host.jails(dying=False)}.isdisjoint(jids)

        asyncio.run(scenario())

    def test_a_lock_is_free_afterwards(self, world: World) -> None:
        """A change takes the lock of its step and gives it back."""

        async def scenario() -> None:
            lock = world.scratch / "jail.lock"
            await world.host.create_jail("contract-l", Path("/"), {}, lock=lock)
            assert await wait_in_flight(lock, 0.0) is InFlight.FREE

        asyncio.run(scenario())


class TestProcesses:
    """Killing what runs in a jail."""

    def test_kill(self, world: World) -> None:
        """Whether there was a process is told; afterwards there is none, whatever it ignores."""

        async def scenario() -> None:
            jid = await world.host.create_jail("contract-k", Path("/"), {})
            assert await world.host.kill_processes(jid) is False
            runs = world.start(jid, ignores_term=True)
            assert await world.host.kill_processes(jid, "SIGTERM") is True
            assert runs()
            assert await world.host.kill_processes(jid) is True
            assert not runs()
            assert await world.host.kill_processes(jid) is False
            await world.host.remove_jail(jid)
            await world.gone(jid)
            assert await world.host.kill_processes(jid) is False

        asyncio.run(scenario())

    def test_only_in_its_own_jail(self, world: World) -> None:
        """Another jail's processes, and the host's, are not touched."""

        async def scenario() -> None:
            one = await world.host.create_jail("contract-o", Path("/"), {})
            other = await world.host.create_jail("contract-p", Path("/"), {})
            runs = world.start(other)
            assert await world.host.kill_processes(one) is False
            assert runs()

        asyncio.run(scenario())

    def test_removal_ends_them(self, world: World) -> None:
        """A jail's processes do not outlive its removal."""

        async def scenario() -> None:
            jid = await world.host.create_jail("contract-r", Path("/"), {})
            runs = world.start(jid)
            await world.host.remove_jail(jid)
            assert not runs()

        asyncio.run(scenario())


class TestDying:
    """Removal returns before everything is gone."""

    def test_a_dying_jail(self, enter: Enter) -> None:
        """It is shown as dying, keeps its root busy, and its name is free at once."""
        world = enter(dying_s=1.0)

        async def scenario() -> None:
            view = world.directory("view")
            mount = await world.host.mount("nullfs", str(world.directory("root")), view)
            jid = await world.host.create_jail("contract-d", view, {})
            await world.host.remove_jail(jid)
            [seen] = [jail for jail in await world.host.jails() if jail.jid == jid]
            assert seen.dying
            assert jid not in {jail.jid for jail in await world.host.jails(dying=False)}
            assert isinstance(await world.refused(world.host.unmount(mount.fsid)), BusyError)
            assert await world.host.create_jail("contract-d", Path("/"), {}) != jid
            await world.host.remove_jail(jid)
            await world.gone(jid)
            await world.host.unmount(mount.fsid)

        asyncio.run(scenario())
