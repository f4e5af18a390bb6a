"""A full disk delays a record; it never costs a task its status."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jail_driver.supervisor.client import alive, read_exit
from jail_driver.supervisor.errors import SupervisorError, SupervisorStartError
from supervisor.lab import Lab, shell, until_status

_MNT_DETACH = 2


@pytest.fixture
def small(lab: Lab) -> Iterator[Path]:
    """A file system of a few pages where the supervisor keeps its records."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a tmpfs")
    folder = lab.folder / "small"
    folder.mkdir()
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=64k,nr_inodes=32") != 0:
        pytest.skip(f"needs mount(2): {os.strerror(ctypes.get_errno())}")
    lab.sup_dir = folder / "sup"
    try:
        yield folder
    finally:
        lab.clean()
        libc.umount2(os.fsencode(folder), _MNT_DETACH)
        shutil.rmtree(lab.folder, ignore_errors=True)


def fill(folder: Path) -> Path:
    """Leaves no byte free."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return filler
    raise AssertionError("the file system does not fill")


def test_a_status_is_kept_until_the_disk_takes_it(lab: Lab, small: Path) -> None:
    """Nobody is told an end that is not durable; the reason is in the status; space heals it."""

    async def test() -> None:
        main = await lab.main(shell("exec sleep 30"))
        filler = fill(small)
        async with lab.client() as client:
            assert await client.signal("SIGUSR1") == ""
            watched = asyncio.create_task(client.wait_exit())
            await until_status(client, lambda status: status.record_error, "the disk is full")
            status = await client.status()
            assert status.record_error is not None
            assert "No space left on device" in status.record_error
            assert (status.exit, status.all_gone, watched.done()) == (None, False, False)
            assert await client.signal("SIGKILL") == f"main (pid {main.pid}) has already ended"
            assert read_exit(lab.sup_dir) is None
            filler.unlink()
            record = await watched
            await client.wait_gone()
        assert record is not None
        assert record.signal == 10
        assert record == read_exit(lab.sup_dir)

    lab.run(test())
    lab.wait_ended()


def test_main_is_not_started_when_it_cannot_be_recorded(lab: Lab, small: Path) -> None:
    """A main that nobody could find again must not run."""

    async def test() -> None:
        launched = await lab.spawn()
        fill(small)
        with pytest.raises(SupervisorStartError, match=r"main was not started.*No space left") as caught:
            await launched.go(lab.order(shell(f"touch {lab.folder}/ran")))
        assert (caught.value.step, caught.value.reason) == (0, "record")
        async with lab.client() as client:
            assert (await client.status()).start_failed == str(caught.value)
        (small / "filler").unlink()

    lab.run(test())
    lab.wait_ended()
    assert not (lab.folder / "ran").exists()


def test_without_space_there_is_no_supervisor(lab: Lab, small: Path) -> None:
    """It cannot write its identity down, says so, and ends."""
    lab.sup_dir.mkdir()
    fill(small)

    async def test() -> None:
        with pytest.raises(SupervisorError, match="No space left on device"):
            await lab.spawn()

    lab.run(test())
    lab.wait_ended()


def test_a_removed_directory_does_not_keep_a_supervisor_for_ever(lab: Lab) -> None:
    """Nobody can read its record any more: it tells who is connected, and ends."""

    async def test() -> None:
        await lab.main(shell("exec sleep 30"))
        async with lab.client() as client:
            shutil.rmtree(lab.sup_dir)
            assert await client.signal("SIGKILL") == ""
            record = await client.wait_exit()
            assert record is not None
            assert record.signal == 9
            await client.wait_gone()

    lab.run(test())
    assert not alive(lab.sup_dir)


def test_a_directory_that_is_moved_away_takes_the_record(lab: Lab) -> None:
    """The state directory comes back: so does what was written into it meanwhile."""
    elsewhere = lab.folder / "elsewhere"

    async def test() -> None:
        await lab.main(shell("sleep 0.2; exit 8"))
        lab.sup_dir.rename(elsewhere)
        async with lab.client() as client:
            await client.wait_gone()

    lab.run(test())
    record = read_exit(elsewhere)
    assert record is not None
    assert record.exit_code == 8
    lab.sup_dir = elsewhere
    lab.wait_ended()


def test_an_unwritable_start_is_refused_by_name(lab: Lab) -> None:
    """The directory's parent must exist."""
    lab.sup_dir = lab.folder / "no" / "sup"

    async def test() -> None:
        with pytest.raises(SupervisorError, match=r"cannot make .*/no/sup: No such file"):
            await lab.spawn()

    lab.run(test())
