"""What only looks like ours is left alone: used pids and jids, names, boots, clocks, databases, other plugins."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import Health, StartedTask, TaskSpec
from jail_state.core.ids import ProcessIdentity, jail_name
from jail_state.core.lifecycle import State
from jail_state.core.task import Task
from nomad.system import pids, started_ticks

pytestmark = [rig.needs_root, pytest.mark.timeout(120)]
LOOP = f"touch /alloc/up; {rig.UNTIL_TOLD}; exit 7"


@pytest.fixture
def host() -> Iterator[rig.Host]:
    """A host of its own for each: some are rebooted."""
    with rig.host() as made:
        yield made


async def up(host: rig.Host, plugin: rig.Plugin, **config: object) -> tuple[TaskSpec, StartedTask, Task]:
    """Start a task that runs until it is told, and see main inside."""
    spec = host.spec({"Exec_start": LOOP, **config})
    started = await plugin.start(spec)
    await rig.until("main is inside", Path(spec.alloc_dir, "alloc/up").exists)
    return spec, started, host.task(spec.id)


def kill(*processes: ProcessIdentity | None) -> None:
    """Kill processes that the plugin knows, and wait until they are gone."""
    for process in processes:
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
    for process in processes:
        assert process is not None
        rig.eventually(f"{process.pid} is gone", lambda pid=process.pid: pid not in pids())


def born_as(pid: int) -> subprocess.Popen[bytes]:
    """Start a stranger under a number that was used before (pid_namespaces(7), ns_last_pid)."""
    last = Path("/proc/sys/kernel/ns_last_pid")
    rig.eventually(f"pid {pid} is free", lambda: not Path(f"/proc/{pid}").exists())
    for _ in range(200):
        try:
            last.write_text(str(pid - 1))
        except OSError as error:
            pytest.skip(f"this kernel does not let us choose a pid: {error}")
        stranger = subprocess.Popen(["/bin/sleep", "1000"])
        if stranger.pid == pid:
            return stranger
        stranger.kill()
        stranger.wait()
    pytest.skip(f"pid {pid} never came free")


def test_a_strangers_pids(host: rig.Host) -> None:
    """Main's number and the supervisor's belong to others by now: neither gets a signal, and nothing is made up."""

    async def scenario() -> None:
        before = host.snapshot()
        first = await rig.launch(host)
        spec, started, task = await up(host, first)
        await first.kill()
        assert task.main is not None
        assert task.supervisor is not None
        kill(task.supervisor, task.main)
        strangers = [born_as(task.main.pid), born_as(task.supervisor.pid)]
        try:
            async with rig.plugin(host) as second:
                await second.client.recover(started.handle)
                result = await asyncio.wait_for(second.client.wait(spec.id), 30)
                assert result.exit_code != 0
                assert "unknown" in result.error
                await second.client.stop(spec.id, timeout_s=1)
                await second.client.destroy(spec.id, force=True)
            assert [stranger.poll() for stranger in strangers] == [None, None]
        finally:
            for stranger in strangers:
                stranger.kill()
                stranger.wait()
        host.wait_clean(before)

    asyncio.run(scenario())


@pytest.mark.parametrize("same", ["jid", "name"])
def test_a_strangers_jail(host: rig.Host, same: str) -> None:
    """Our jail is gone and somebody else's has its number, or its name: that one is not removed, nor entered."""

    async def scenario() -> None:
        before = host.snapshot()
        first = await rig.launch(host)
        spec, started, task = await up(host, first)
        await first.kill()
        host.tool("jail", "-R", str(task.jid))
        kept = {"jid": ("name=strange", f"jid={task.jid}"), "name": (f"name={task.jail_name}",)}[same]
        made = host.network.run(str(host.tools / "jail"), "-c", *kept, f"path={host.root}", "persist")
        assert made.returncode == 0, made.stderr
        foreign = host.tool("jls", "jid", "name", "path")
        async with rig.plugin(host) as second:
            await second.client.recover(started.handle)
            result = await asyncio.wait_for(second.client.wait(spec.id), 30)
            assert (result.exit_code, result.signal) == (128 + 15, 15)
            with pytest.raises(PluginError):
                await second.client.exec(spec.id, ("true",), 5)
            await second.client.destroy(spec.id, force=True)
            assert host.tool("jls", "jid", "name", "path") == foreign
        host.tool("jail", "-R", "strange" if same == "jid" else task.jail_name)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_name_that_is_taken_before_the_start(host: rig.Host) -> None:
    """The start fails with a sentence that names the jail, which stays; nothing else is left."""

    async def scenario() -> None:
        spec = host.spec({"Exec_start": "true", "Mount_devfs": True})
        name = jail_name(spec.id, spec.name)
        async with rig.plugin(host) as plugin:
            host.tool("jail", "-c", f"name={name}", f"path={host.root}", "persist")
            before = host.snapshot()
            with pytest.raises(PluginError, match=name):
                await plugin.start(spec)
            await plugin.client.destroy(spec.id)
            host.wait_clean(before)
            assert host.tool("jls", "name").split() == [name]

    asyncio.run(scenario())


def test_a_reboot(host: rig.Host) -> None:
    """The task is lost and said so; only the hooks that clean up run; no signal to who has its number now."""

    async def scenario() -> None:
        before = host.snapshot()
        hooks = {
            f"Exec_{hook}": f"/bin/sh -c 'echo {hook} >> {host.base}/hooks'"
            for hook in ("prestart", "poststart", "prestop", "poststop", "release")
        }
        first = await rig.launch(host)
        spec, started, task = await up(host, first, Mount_devfs=True, **hooks)
        await first.kill()
        host.reboot()
        (host.base / "hooks").write_text("")
        assert task.main is not None
        stranger = born_as(task.main.pid)
        try:
            async with rig.plugin(host) as second:
                await second.client.recover(started.handle)
                result = await asyncio.wait_for(second.client.wait(spec.id), 30)
                assert result.exit_code != 0
                assert "reboot" in result.error
                assert (host.base / "hooks").read_text() == "poststop\nrelease\n"
                seen = host.task(spec.id)
                assert (seen.state, seen.leftovers) == (State.STOPPED, ())
                await second.client.destroy(spec.id)
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()
        (host.base / "hooks").unlink()
        host.wait_clean(before)

    asyncio.run(scenario())


def stepped(hours: int) -> tuple[str, ...]:
    """Run the plugin by a wall clock that is wrong; the kernel's clocks of what has passed are not stepped."""
    code = (
        f"import time; s = {hours} * 3600; ns, t = time.time_ns, time.time;"
        "time.time_ns = lambda: ns() + s * 10**9; time.time = lambda: t() + s"
    )
    return rig.changed(code)


@pytest.mark.parametrize(("then", "now"), [(0, 1), (0, -1), (1, 0)], ids=["forward", "back", "mended"])
def test_a_stepped_clock(host: rig.Host, then: int, now: int) -> None:
    """The same main is taken back, is stopped with all its grace, and its end is told."""

    async def scenario() -> None:
        before = host.snapshot()
        first = await rig.launch(host, argv=stepped(then))
        start = "trap 'sleep 1; exit 5' TERM; touch /alloc/up; while :; do sleep 0.05; done"
        spec, started, task = await up(host, first, Exec_start=start)
        await first.kill()
        async with rig.plugin(host, argv=stepped(now)) as second:
            await second.client.recover(started.handle)
            seen = host.task(spec.id)
            assert (seen.state, seen.main, seen.jid) == (State.RUNNING, task.main, task.jid)
            assert task.main is not None
            assert started_ticks(task.main.pid) is not None
            await asyncio.wait_for(second.client.stop(spec.id, timeout_s=20, signal="SIGTERM"), 30)
            result = await second.client.wait(spec.id)
            assert (result.exit_code, result.signal, result.error) == (5, 0, "")
            assert host.task(spec.id).leftovers == ()
            await second.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_an_old_plugin_on_a_newer_database(host: rig.Host) -> None:
    """It says so, starts nothing, changes nothing, touches no task; the right one goes on."""

    async def scenario() -> None:
        before = host.snapshot()
        first = await rig.launch(host)
        spec, started, task = await up(host, first)
        await first.kill()
        with closing(sqlite3.connect(host.state / "events.db", isolation_level=None)) as database:
            ours = database.execute("SELECT version_num FROM alembic_version").fetchone()
            database.execute("UPDATE alembic_version SET version_num = '0999'")
            dump = list(database.iterdump())
        async with rig.plugin(host) as old:
            seen = await old.fingerprint(Health.UNHEALTHY)
            assert "0999" in seen.description
            await old.client.recover(started.handle)  # an error would have Nomad start it beside itself
            with pytest.raises(PluginError, match="0999"):
                await old.start(host.spec({"Exec_start": "true"}))
            assert task.main is not None
            assert task.main.pid in pids()
        with closing(sqlite3.connect(host.state / "events.db", isolation_level=None)) as database:
            assert list(database.iterdump()) == dump
            database.execute("UPDATE alembic_version SET version_num = ?", ours)
        async with rig.plugin(host) as right:
            await right.client.recover(started.handle)
            Path(spec.alloc_dir, "alloc/end").touch()
            assert (await asyncio.wait_for(right.client.wait(spec.id), 30)).exit_code == 7
            await right.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_successor_whose_predecessors_agent_is_dead(host: rig.Host) -> None:
    """The old plugin hands over and ends by itself; the task never notices."""

    async def scenario() -> None:
        before = host.snapshot()
        # The shell stands for the agent: the plugin's parent, which dies.
        agent = ("/bin/sh", "-c", '"$@" & echo $! >&2; wait', "agent", *rig.PLUGIN)
        first = await rig.launch(host, argv=agent)
        spec, started, task = await up(host, first)
        old = next(int(line["@message"]) for line in first.log if line["@message"].isdigit())
        await first.client.close()
        os.kill(first.process.pid, signal.SIGKILL)
        async with rig.plugin(host) as second:
            await second.fingerprint(Health.HEALTHY)
            await rig.until("the old one is gone", lambda: old not in pids())
            await second.client.recover(started.handle)
            seen = host.task(spec.id)
            assert (seen.state, seen.main) == (State.RUNNING, task.main)
            Path(spec.alloc_dir, "alloc/end").touch()
            assert (await asyncio.wait_for(second.client.wait(spec.id), 30)).exit_code == 7
            await second.client.destroy(spec.id)
        await first.process.wait(10)
        host.wait_clean(before)

    asyncio.run(scenario())
