"""The disk fills, turns read-only, the database breaks: tasks go on, statuses are kept, the driver says why."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import Health
from nomad.system import rooted_below

pytestmark = [rig.needs_root, pytest.mark.timeout(120)]


@pytest.fixture
def host() -> Iterator[rig.Host]:
    """A host whose state directory is a small file system of its own."""
    with rig.host() as made:
        made.state.mkdir(mode=0o700)
        mount(made, "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs")
        try:
            yield made
        finally:
            for pid, _argv in made.ours():
                rig.os.kill(pid, rig.signal.SIGKILL)
            rig.eventually("everything ended", lambda: not made.ours(), 10)


def mount(host: rig.Host, *argv: str) -> None:
    """Mount something on the state directory."""
    subprocess.run(["mount", *argv, str(host.state)], check=True, capture_output=True)


def fill(host: rig.Host) -> Path:
    """Use up the disk; the file to remove again."""
    filler = host.state / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


def test_a_full_disk(host: rig.Host) -> None:
    """No task starts, the running one goes on, its end is told truly once there is room again."""

    async def scenario() -> None:
        loop = f"{rig.UNTIL_TOLD}; exit 7"
        spec = host.spec({"Exec_start": f"touch /alloc/up; {loop}"})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            await rig.until("main is up", Path(spec.alloc_dir, "alloc/up").exists)
            filler = fill(host)
            with pytest.raises(PluginError, match=r"free some space") as refused:
                await plugin.start(host.spec({"Exec_start": "true"}))
            assert refused.value.recoverable
            seen = await plugin.fingerprint(Health.UNHEALTHY)
            assert "full" in seen.description or "space" in seen.description
            assert rooted_below(host.base)
            Path(spec.alloc_dir, "alloc/end").touch()
            waiting = asyncio.create_task(plugin.client.wait(spec.id))
            await asyncio.sleep(1)
            filler.unlink()
            result = await asyncio.wait_for(waiting, 60)
            assert (result.exit_code, result.error) == (7, "")
            await plugin.client.destroy(spec.id)
            await plugin.fingerprint(Health.HEALTHY)

    asyncio.run(scenario())


def test_tasks_are_given_back_while_the_disk_is_full(host: rig.Host) -> None:
    """An agent that asks for a running task is told yes: after an error it would run the task a second time."""

    async def scenario() -> None:
        loop = f"{rig.UNTIL_TOLD}; exit 7"
        spec = host.spec({"Exec_start": f"echo up >> /alloc/up; {loop}"})
        first = await rig.launch(host)
        started = await first.start(spec)
        await rig.until("main is up", Path(spec.alloc_dir, "alloc/up").exists)
        filler = fill(host)
        await first.client.recover(started.handle)
        await first.kill()
        async with rig.plugin(host) as second:
            await second.client.recover(started.handle)
            filler.unlink()
            Path(spec.alloc_dir, "alloc/end").touch()
            result = await asyncio.wait_for(second.client.wait(spec.id), 60)
            assert (result.exit_code, result.error) == (7, "")
            assert Path(spec.alloc_dir, "alloc/up").read_text() == "up\n"
            await second.client.destroy(spec.id)

    asyncio.run(scenario())


def test_a_stop_is_carried_out_once_there_is_room(host: rig.Host) -> None:
    """Nomad asks five times and then never again: the driver keeps on where it cannot write down what it was asked."""

    async def scenario() -> None:
        spec = host.spec({"Exec_start": "touch /alloc/up; exec sleep 600"})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            await rig.until("main is up", Path(spec.alloc_dir, "alloc/up").exists)
            filler = fill(host)
            stopping = asyncio.create_task(plugin.client.stop(spec.id, timeout_s=5, signal="SIGTERM"))
            await asyncio.sleep(3)
            assert not stopping.done()
            assert rooted_below(host.base)
            filler.unlink()
            await asyncio.wait_for(stopping, 30)
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 30)
            assert (result.exit_code, result.signal) == (143, 15)
            await plugin.client.destroy(spec.id)

    asyncio.run(scenario())


def test_a_damaged_database(host: rig.Host) -> None:
    """It is refused with its name, nothing is undone in its absence, tasks go on; put right, all is as before."""

    async def scenario() -> None:
        before = host.snapshot()
        loop = f"{rig.UNTIL_TOLD}; exit 7"
        spec = host.spec({"Exec_start": f"touch /alloc/up; {loop}"})
        first = await rig.launch(host)
        started = await first.start(spec)
        await rig.until("main is up", Path(spec.alloc_dir, "alloc/up").exists)
        await first.kill()
        kept = {path: path.read_bytes() for path in host.state.glob("events.db*")}
        for path in kept:
            path.unlink()
        (host.state / "events.db").write_bytes(b"this is no database, whatever its name says" * 100)
        async with rig.plugin(host) as plugin:
            seen = await plugin.fingerprint(Health.UNHEALTHY)
            assert "events.db" in seen.description
            assert rooted_below(host.base)
            Path(spec.alloc_dir, "alloc/end").touch()
            await rig.until("main has ended", lambda: not rooted_below(host.base))
            for path, content in kept.items():
                path.write_bytes(content)
            await plugin.fingerprint(Health.HEALTHY)
            await plugin.client.recover(started.handle)
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 60)
            assert (result.exit_code, result.error) == (7, "")
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_missing_state_directory_comes_back(host: rig.Host) -> None:
    """What is in its place is named; once it is gone the driver serves."""

    async def scenario() -> None:
        subprocess.run(["umount", str(host.state)], check=True, capture_output=True)  # noqa: ASYNC221  # at once
        host.state.rmdir()
        host.state.write_text("a file")
        async with rig.plugin(host) as plugin:
            seen = await plugin.fingerprint(Health.UNHEALTHY)
            assert str(host.state) in seen.description
            host.state.unlink()
            await plugin.fingerprint(Health.HEALTHY)

    asyncio.run(scenario())
