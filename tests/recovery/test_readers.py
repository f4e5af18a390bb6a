"""The readers of a task's output die, come late or never: the task lives, and no line is lost."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import rig
from jail_driver.model import TaskSpec
from nomad.system import pids

pytestmark = [rig.needs_root, pytest.mark.timeout(120)]

LINES = 20_000
"""More than three times what a FIFO holds."""
WRITES = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done; exit 3"


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


def with_fifos(host: rig.Host, command: str) -> TaskSpec:
    """Return a task whose output goes to FIFOs, as Nomad's logmon makes them."""
    spec = host.spec({"Exec_start": command})
    for path in (spec.stdout_path, spec.stderr_path):
        Path(path).unlink()
        os.mkfifo(path, 0o600)
    return spec


class Reader:
    """Nomad's logmon, as far as a FIFO sees it.

    Args:
        path: the FIFO.
        most: how many bytes it reads before it dies; None is until the end.
    """

    def __init__(self, path: str, most: int | None = None) -> None:
        self.data = b""
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self._fd, True)
        self._most = most
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError):
            while self._most is None or len(self.data) < self._most:
                chunk = os.read(self._fd, 4096)
                if not chunk:
                    break
                self.data += chunk
        os.close(self._fd)

    async def ended(self) -> bytes:
        """Wait until it has read all that it reads."""
        await asyncio.wait_for(asyncio.to_thread(self._thread.join), 60)
        return self.data


def blocked(pid: int) -> bool:
    """Whether a process waits for room in a pipe."""
    with suppress(OSError):
        return "pipe" in Path(f"/proc/{pid}/wchan").read_text()
    return False


def test_whoever_dies_no_line_is_lost(host: rig.Host) -> None:
    """The reader dies, the FIFO fills, the plugin dies, another plugin and another reader come: all lines, once."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = with_fifos(host, WRITES)
        first = await rig.launch(host)
        dying = Reader(spec.stdout_path, most=10_000)
        started = await first.start(spec)
        head = await dying.ended()
        main = host.task(spec.id).main
        assert main is not None
        await rig.until("main waits for room", lambda: blocked(main.pid))
        await first.kill()
        async with rig.plugin(host) as second:
            await second.client.recover(started.handle)
            assert main.pid in pids()
            tail = Reader(spec.stdout_path)
            result = await asyncio.wait_for(second.client.wait(spec.id), 60)
            assert (result.exit_code, result.signal, result.error) == (3, 0, "")
            lines = (head + await tail.ended()).decode().splitlines()
            assert lines == [f"line {number}" for number in range(LINES)]
            await second.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_nobody_ever_reads(host: rig.Host) -> None:
    """What fits is written, and no SIGPIPE ends main: its own code is told."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = with_fifos(host, "echo one; echo two >&2; sleep 0.1; echo three; exit 4")
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 60)
            assert (result.exit_code, result.signal, result.error) == (4, 0, "")
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_main_that_waits_for_room_can_be_stopped(host: rig.Host) -> None:
    """Nobody reads its full FIFO: it ends by Nomad's signal all the same, and nothing waits for a reader."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = with_fifos(host, WRITES)
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            main = host.task(spec.id).main
            assert main is not None
            await rig.until("main waits for room", lambda: blocked(main.pid))
            await asyncio.wait_for(plugin.client.stop(spec.id, timeout_s=5.0), 30)
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 30)
            assert (result.exit_code, result.signal, result.error) == (128 + 15, 15, "")
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())
