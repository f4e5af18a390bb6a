"""A neighbour in a shared Path swaps a mount point for a link: nothing outside the view is ever changed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import Mount
from jail_state.core import events as ev
from jail_state.core.lifecycle import State
from net import lab
from nomad.system import mounts_below

pytestmark = rig.needs_root


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


@contextlib.contextmanager
def prize(host: rig.Host, name: str, *, full: bool) -> Iterator[Path]:
    """A directory of the host that an attacker would like to see covered, made or emptied."""
    directory = host.base / name
    directory.mkdir()
    if full:
        (directory / "passwd").write_text("root\n")
    yield directory
    assert [path.name for path in directory.iterdir()] == (["passwd"] if full else [])


def swap(place: Path, link: Path) -> None:
    """Put a link where a directory was."""
    place.rename(place.with_name("was"))
    place.symlink_to(link)


def swap_back(place: Path) -> None:
    """Put the directory back."""
    place.unlink()
    place.with_name("was").rename(place)


@pytest.mark.parametrize("full", [True, False], ids=["in use", "empty"])
@pytest.mark.parametrize("killed", [False, True], ids=["watched", "unwatched"])
def test_swapped_just_before_the_mount(host: rig.Host, *, full: bool, killed: bool) -> None:
    """Whether anybody lives to look where the mount landed or not: it is refused, or it is gone again."""

    async def scenario(target: Path) -> None:
        before = host.snapshot()
        announced = host.base / "announced"
        place = host.root / "local"
        spec = lab.looks(host, "sleep 60")
        barrier = {"command": "mount", "match": "root/local", "announce": str(announced)}
        first = await rig.launch(host)
        host.barriers(barrier)
        start = asyncio.create_task(first.start(spec))
        await rig.until("the mount is about to be made", announced.exists)
        swap(place, target)
        if killed:
            await first.kill()
        host.barriers()
        announced.unlink()
        # A client whose plugin was killed is closed: its call is cancelled.
        with pytest.raises((PluginError, asyncio.CancelledError)):
            await start
        if not killed:
            await first.kill()
        async with rig.plugin(host, recovery_wait="0.2s"):
            await rig.until("stopped", lambda: host.task(spec.id).state is State.STOPPED)
        assert not [mount for mount in mounts_below(host.base) if mount.startswith(str(target))]
        doubts = [one.event.reason for one in host.history(spec.id) if isinstance(one.event, ev.StepDoubted)]
        # Covering a directory in use is refused by the kernel; an empty one was covered until somebody came.
        assert [f"landed on {target}" in reason for reason in doubts] == (
            [True] if killed and not full else []
        )
        assert place.is_symlink()
        swap_back(place)
        host.wait_clean(before)

    with prize(host, f"prize-{full}-{killed}", full=full) as target:
        asyncio.run(scenario(target))


@pytest.mark.timeout(180)
def test_flipped_all_the_time(host: rig.Host) -> None:
    """Starts succeed or are refused with a reason; the host's directory is never covered, made in or emptied."""
    ended = threading.Event()
    seen: list[str] = []

    def flip(place: Path, target: Path) -> None:
        while not ended.wait(0.01):
            # While a task holds the directory it cannot be moved: a mount point is busy on Linux.
            with contextlib.suppress(OSError):
                (swap_back if place.is_symlink() else partial(swap, link=target))(place)
            seen.extend(mount for mount in mounts_below(host.base) if mount.startswith(str(target)))

    async def scenario(target: Path) -> None:
        before = host.snapshot()
        place = host.root / "secrets"
        thread = threading.Thread(target=flip, args=(place, target))
        async with rig.plugin(host) as plugin:
            thread.start()
            try:
                for _ in range(3):
                    spec = lab.looks(host, "true")
                    with contextlib.suppress(PluginError):
                        await plugin.start(spec)
                        await asyncio.wait_for(plugin.client.wait(spec.id), 30)
                    await plugin.client.destroy(spec.id)
            finally:
                ended.set()
                thread.join()
        if place.is_symlink():
            swap_back(place)
        assert seen == []
        assert list(place.iterdir()) == []
        host.wait_clean(before)

    with prize(host, "prize", full=True) as target:
        asyncio.run(scenario(target))


def test_a_directory_above_is_a_link(host: rig.Host) -> None:
    """A mount point below a link is neither made nor removed through it."""

    async def scenario(target: Path) -> None:
        before = host.snapshot()
        (host.root / "trap").symlink_to(target)
        mounts = (Mount("/trap/new/deep", str(host.base / "tmp"), readonly=True),)
        spec = lab.looks(host, "true", mounts=mounts)
        async with rig.plugin(host) as plugin:
            with pytest.raises(PluginError, match="trap is a symbolic link"):
                await plugin.start(spec)
            await plugin.client.destroy(spec.id)
        (host.root / "trap").unlink()
        host.wait_clean(before)

    with prize(host, "above", full=False) as target:
        asyncio.run(scenario(target))
