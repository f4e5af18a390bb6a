"""What a live plugin needs is taken from it, one thing at a time: tasks go on, the driver says why, and heals."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import Health
from nomad.system import pids, rooted_below

pytestmark = [rig.needs_root, pytest.mark.timeout(180)]

_PIDS = Path("/sys/fs/cgroup/pids")
_LIBC = ctypes.CDLL(None, use_errno=True)
_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 1, 32, 4096


@pytest.fixture
def host() -> Iterator[rig.Host]:
    """A host of its own for each: what one of them breaks, no other one meets."""
    with rig.host() as made:
        yield made


def mount(source: str, target: Path, flags: int) -> None:
    """Mount without a program: some of what is taken away here would be the program's, too."""
    if _LIBC.mount(source.encode(), bytes(target), None, flags, None) != 0:
        raise OSError(ctypes.get_errno(), str(target))


@contextmanager
def read_only(host: rig.Host, _plugin: int) -> Iterator[None]:
    """What is opened from now on lies on a read-only file system; the database is open already."""
    mount(str(host.state), host.state, _MS_BIND)
    mount("none", host.state, _MS_BIND | _MS_REMOUNT | _MS_RDONLY)
    try:
        yield
    finally:
        assert _LIBC.umount2(bytes(host.state), 2) == 0


@contextmanager
def moved_away(host: rig.Host, _plugin: int) -> Iterator[None]:
    """The state directory is gone under the plugin."""
    elsewhere = host.state.with_name("elsewhere")
    host.state.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(host.state)


@contextmanager
def locked(host: rig.Host, _plugin: int) -> Iterator[None]:
    """Another process writes to the database and does not come to an end."""
    with closing(sqlite3.connect(host.state / "events.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def limited(plugin: int, kind: int, amount: int) -> Iterator[None]:
    """The plugin may use no more than this of something."""
    before = resource.prlimit(plugin, kind)
    resource.prlimit(plugin, kind, (amount, before[1]))
    try:
        yield
    finally:
        resource.prlimit(plugin, kind, before)


def no_descriptors(_host: rig.Host, plugin: int) -> AbstractContextManager[None]:
    """Every open(2), socket(2), pipe(2) fails with EMFILE."""
    return limited(plugin, resource.RLIMIT_NOFILE, 3)


def io_error(host: rig.Host, plugin: int) -> AbstractContextManager[None]:
    """Every write(2) to the database fails, with EFBIG: to SQLite an error of the disk, not a full one."""
    most = 32 << 10  # what commands print is less
    assert (host.state / "events.db-wal").stat().st_size > most
    return limited(plugin, resource.RLIMIT_FSIZE, most)


@contextmanager
def no_processes(_host: rig.Host, plugin: int) -> Iterator[None]:
    """Every fork(2) fails with EAGAIN. A limit of processes does not bind root: a control group does."""
    group = _PIDS / f"jail-task-driver-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"needs the pids controller of cgroups version 1: {error}")
    home = _PIDS / "cgroup.procs"
    try:
        (group / "cgroup.procs").write_text(str(plugin))
        (group / "pids.max").write_text("0")
        yield
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            home.write_text(pid)
        group.rmdir()


TAKEN = {
    "read-only": (read_only, "Read-only file system"),
    "moved away": (moved_away, "No such file"),
    "locked": (locked, "locked"),
    "I/O error": (io_error, "disk I/O error"),
    "no descriptors": (no_descriptors, "Too many open files"),
    "no processes": (no_processes, "start new thread"),
}


@pytest.mark.parametrize(("take", "reason"), TAKEN.values(), ids=TAKEN)
def test_a_running_task_ends_meanwhile(
    host: rig.Host, take: Callable[[rig.Host, int], AbstractContextManager[None]], reason: str
) -> None:
    """It goes on, no other starts, its end is told truly afterwards, and the plugin is the same one."""

    async def scenario() -> None:
        before = host.snapshot()
        loop = f"{rig.UNTIL_TOLD}; exit 7"
        spec = host.spec({"Exec_start": f"echo once >> /alloc/runs; {loop}", "Exec_poststop": "true"})
        other = host.spec({"Exec_start": "sleep 300"})
        async with rig.plugin(host, teardown_deadline="5m") as plugin:
            await plugin.start(spec)
            await rig.until("main is inside", Path(spec.alloc_dir, "alloc/runs").exists)
            main = host.task(spec.id).main
            assert main is not None
            with take(host, plugin.process.pid):
                with pytest.raises(PluginError):
                    await asyncio.wait_for(plugin.client.start(other), 60)
                seen = await plugin.fingerprint(Health.UNHEALTHY)
                assert reason in seen.description
                assert main.pid in rooted_below(host.base)
                Path(spec.alloc_dir, "alloc/end").touch()
                waiting = asyncio.create_task(plugin.client.wait(spec.id))
                await rig.until("main has ended", lambda: main.pid not in pids())
                await asyncio.sleep(0.5)
                assert plugin.process.status is None
            result = await asyncio.wait_for(waiting, 60)
            assert (result.exit_code, result.signal, result.error) == (7, 0, "")
            await plugin.fingerprint(Health.HEALTHY)
            assert Path(spec.alloc_dir, "alloc/runs").read_text() == "once\n"
            await plugin.client.destroy(spec.id)
            await plugin.client.destroy(other.id, force=True)
            again = host.spec({"Exec_start": "echo up; exit 3"})
            await plugin.start(again)
            assert (await asyncio.wait_for(plugin.client.wait(again.id), 60)).exit_code == 3
            await plugin.client.destroy(again.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_read_only_state_directory_at_the_start(host: rig.Host) -> None:
    """A plugin that finds it so undoes nothing, says why, and takes the task back once it may write."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": "touch /alloc/up; exec sleep 300"})
        first = await rig.launch(host)
        started = await first.start(spec)
        await rig.until("main is up", Path(spec.alloc_dir, "alloc/up").exists)
        main = host.task(spec.id).main
        await first.kill()
        with read_only(host, 0):
            second = await rig.launch(host)
            seen = await second.fingerprint(Health.UNHEALTHY)
            assert "Read-only" in seen.description or "readonly" in seen.description
            assert main is not None
            assert main.pid in rooted_below(host.base)
        try:
            await second.fingerprint(Health.HEALTHY)
            await second.client.recover(started.handle)
            assert host.task(spec.id).main == main
            await second.client.destroy(spec.id, force=True)
        finally:
            await second.kill()
        host.wait_clean(before)

    asyncio.run(scenario())


def test_out_of_memory(host: rig.Host) -> None:
    """The plugin may die of it, but never hang: the task goes on, and whoever lives next tells its end.

    Where a thread dies before it has begun, Python's Thread.start waits for it for ever, and the loop with it.
    """

    async def scenario() -> None:
        before = host.snapshot()
        loop = f"{rig.UNTIL_TOLD}; exit 7"
        spec = host.spec({"Exec_start": f"echo once >> /alloc/runs; {loop}"})
        others = [host.spec({"Exec_start": "sleep 300", "Mount_devfs": True}) for _ in range(8)]
        first = await rig.launch(
            host, argv=rig.changed("from jail_driver.plugin import watchdog; watchdog.MOST_S = 3")
        )
        started = await first.start(spec)
        await rig.until("main is inside", Path(spec.alloc_dir, "alloc/runs").exists)
        main = host.task(spec.id).main
        # Less than it has already: it gets no more, not for a thread's stack either.
        with suppress(OSError), limited(first.process.pid, resource.RLIMIT_AS, 1 << 20):
            calls = (asyncio.wait_for(first.client.start(other), 60) for other in others)
            done = await asyncio.gather(*calls, return_exceptions=True)
            assert any(isinstance(one, PluginError) for one in done), f"it never lacked memory: {done}"
            assert main is not None
            assert main.pid in rooted_below(host.base)
            Path(spec.alloc_dir, "alloc/end").touch()
            await rig.until("main has ended", lambda: main.pid not in pids())
        await first.kill()
        async with rig.plugin(host, recovery_wait="1s") as second:
            await second.client.recover(started.handle)
            result = await asyncio.wait_for(second.client.wait(spec.id), 60)
            assert (result.exit_code, result.signal, result.error) == (7, 0, "")
            assert Path(spec.alloc_dir, "alloc/runs").read_text() == "once\n"
            for each in (spec, *others):
                await second.client.destroy(each.id, force=True)
        host.wait_clean(before)

    asyncio.run(scenario())
