"""The contract of every host: the mount table."""

from __future__ import annotations

import asyncio

from host.worlds import World
from jail_driver.host.errors import BusyError, HostError, MissingError


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
