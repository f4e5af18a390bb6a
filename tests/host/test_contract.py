"""What every host does: one suite over the in-memory fake, the Linux stand-ins and FreeBSD itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from host.worlds import WORLDS, World, why_no_freebsd
from jail_driver.host.command import InFlight, wait_in_flight
from jail_driver.host.errors import BusyError, ExistsError, HostError, MissingError
from jail_driver.host.port import AddressSeen, Rule

Enter = Callable[..., World]


@pytest.fixture(params=WORLDS)
def enter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Enter]:
    """Opens a host, with settings where a test needs them."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(WORLDS[request.param](tmp_path.resolve(), **settings))


@pytest.fixture
def world(enter: Enter) -> World:
    """A host with ordinary settings."""
    return enter()


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


class TestMounts:
    """Mounting, verifying, unmounting."""

    def test_a_life(self, world: World) -> None:
        """The entry says what is mounted where and how; unmounting can be repeated, by fsid and by target."""

        async def scenario() -> None:
            lower, view = world.directory("lower"), world.directory("view")
            made = await world.host.mount("nullfs", str(lower), view, ("ro",))
            assert (made.source, made.target, made.fstype, made.readonly) == (
                str(lower),
                str(view),
                "nullfs",
                True,
            )
            assert made in await world.host.mounts()
            await world.host.unmount(made.fsid)
            assert made.fsid not in {seen.fsid for seen in await world.host.mounts()}
            await world.host.unmount(made.fsid)
            await world.host.unmount(made)
            await world.host.unmount(str(view))

        asyncio.run(scenario())

    def test_it_shows_the_lower_directory(self, world: World) -> None:
        """A view shows its source, and read-only means what it says."""

        async def scenario() -> None:
            lower, view = world.directory("lower"), world.directory("view")
            (lower / "file").write_text("text")
            await world.host.mount("nullfs", str(lower), view, ("ro",))
            assert world.touch(f"cat {view}/file; touch {view}/new 2>&1 || :").startswith("text")
            assert not (lower / "new").exists()

        asyncio.run(scenario())

    def test_by_target_the_uppermost_goes(self, world: World) -> None:
        """File systems on one target come off in the reverse order."""

        async def scenario() -> None:
            view = world.directory("view")
            lower = await world.host.mount("nullfs", str(world.directory("lower")), view)
            upper = await world.host.mount("tmpfs", "tmpfs", view, ("size=1m",))
            assert isinstance(await world.refused(world.host.unmount(lower)), BusyError)
            await world.host.unmount(str(view))
            table = await world.host.mounts()
            assert lower in table
            assert upper not in table
            await world.host.unmount(str(view))
            assert lower not in await world.host.mounts()

        asyncio.run(scenario())

    def test_a_target_is_never_taken_for_a_source(self, world: World) -> None:
        """Unmounting a directory that is only mounted elsewhere leaves that mount alone."""

        async def scenario() -> None:
            lower = world.directory("lower")
            made = await world.host.mount("nullfs", str(lower), world.directory("view"))
            await world.host.unmount(str(lower))
            assert made in await world.host.mounts()

        asyncio.run(scenario())

    def test_a_root_in_use_is_busy(self, world: World) -> None:
        """A living jail, or a mount inside, keeps a file system."""

        async def scenario() -> None:
            view = world.directory("view")
            lower = world.directory("lower")
            (lower / "tmp").mkdir()
            outer = await world.host.mount("nullfs", str(lower), view)
            inner = await world.host.mount("tmpfs", "tmpfs", view / "tmp", ("size=1m",))
            assert isinstance(await world.refused(world.host.unmount(outer.fsid)), BusyError)
            await world.host.unmount(inner.fsid)
            jid = await world.host.create_jail("contract-u", view, {})
            assert isinstance(await world.refused(world.host.unmount(outer.fsid)), BusyError)
            await world.host.remove_jail(jid)
            await world.gone(jid)
            await world.host.unmount(outer.fsid)

        asyncio.run(scenario())

    def test_nullfs_onto_itself(self, world: World) -> None:
        """What the target shows already cannot be mounted there (EDEADLK), through a view neither."""

        async def scenario() -> None:
            lower, view = world.directory("lower"), world.directory("view")
            (lower / "local").mkdir()
            await world.host.mount("nullfs", str(lower), view)
            before = await world.host.mounts()
            for source in (view / "local", lower / "local"):
                error = await world.refused(world.host.mount("nullfs", str(source), view / "local"))
                assert type(error) is HostError
                assert "Resource deadlock avoided" in str(error)
            assert await world.host.mounts() == before

        asyncio.run(scenario())

    def test_missing_ends(self, world: World) -> None:
        """A missing source and a missing mount point are MissingErrors that name them."""

        async def scenario() -> None:
            here, none = world.directory("here"), world.scratch / "none"
            no_target = await world.refused(world.host.mount("nullfs", str(here), none))
            no_source = await world.refused(world.host.mount("nullfs", str(none), here))
            assert isinstance(no_target, MissingError)
            assert isinstance(no_source, MissingError)
            assert f"{none}: No such file or directory" in str(no_target)
            assert f"{none}: No such file or directory" in str(no_source)

        asyncio.run(scenario())

    def test_a_target_swapped_for_a_link(self, world: World) -> None:
        """What landed elsewhere is unmounted again, and the mount fails."""

        async def scenario() -> None:
            elsewhere = world.directory("elsewhere")
            (world.scratch / "target").symlink_to(elsewhere)
            lower = world.directory("lower")
            before = await world.host.mounts()
            error = await world.refused(world.host.mount("nullfs", str(lower), world.scratch / "target"))
            assert f"landed on {elsewhere}" in str(error)
            assert await world.host.mounts() == before

        asyncio.run(scenario())


class TestAddresses:
    """Aliases on the host's interfaces."""

    @pytest.mark.parametrize(
        ("address", "prefix", "other"),
        [("127.0.53.7", 24, 32), ("fd00:53::7", 64, 128)],
        ids=["inet", "inet6"],
    )
    def test_a_life(self, world: World, address: str, prefix: int, other: int) -> None:
        """An alias is seen once, adding it again replaces its mask, removal can be repeated."""

        async def scenario() -> None:
            before = await world.host.addresses()
            await world.host.add_address("lo0", address, prefix)
            assert AddressSeen("lo0", address, prefix) in await world.host.addresses()
            await world.host.add_address("lo0", address, other)
            ours = [seen for seen in await world.host.addresses() if seen.address == address]
            await world.host.remove_address("lo0", address)
            assert ours == [AddressSeen("lo0", address, other)]
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


async def _need_racct(world: World) -> Any:
    if not await world.host.racct_enabled():
        pytest.skip("kern.racct.enable is 0 on this kernel")
