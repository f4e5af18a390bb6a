"""TaskStats against what the host itself says of the same processes."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from pathlib import Path

import pytest

import rig
from jail_driver.model import TaskUsage
from nomad.system import rooted_below
from operate.operating import SLEEP, accounting, task

pytestmark = rig.needs_root

MIB = 1 << 20
BURN = "held = bytearray(b'x' * (100 << 20))\nwhile True: pass\n"
PYTHON = os.path.realpath(sys.executable)


def host_cpu_s(pids: Iterable[int]) -> float:
    """The processor time of processes by /proc/PID/stat (proc(5)), seconds."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def host_rss_bytes(pids: Iterable[int]) -> int:
    """Their resident memory by /proc/PID/status."""
    lines = (line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


async def drain(stream: AsyncIterator[TaskUsage], into: list[TaskUsage]) -> None:
    """Takes what comes, for ever."""
    async for usage in stream:
        into.append(usage)  # noqa: PERF401  # one by one: what came must be seen when it is cancelled


async def take(
    plugin: rig.Plugin, task_id: str, count: int, interval_s: float = 1.0
) -> list[tuple[float, TaskUsage]]:
    """The first samples of a stream, each with the time at which it came."""
    taken = []
    async for usage in plugin.client.stats(task_id, interval_s):
        taken.append((time.monotonic(), usage))
        if len(taken) == count:
            break
    return taken


@pytest.mark.parametrize("racct", ["on", "off"])
def test_a_busy_task_within_a_tenth_of_the_truth(host: rig.Host, racct: str) -> None:
    """One core burnt and 100 MB held: CPU and memory as /proc has them, with RACCT and without."""

    async def scenario() -> None:
        spec = host.spec({"Exec_start": f"{PYTHON} -I -S /local/burn.py"})
        Path(spec.alloc_dir, "web/local/burn.py").write_text(BURN)
        before = host.snapshot()
        with accounting(host, on=racct == "on"):
            async with rig.plugin(host) as plugin:
                await plugin.start(spec)
                await rig.until(
                    "it holds its memory", lambda: host_rss_bytes(rooted_below(host.base)) > 100 * MIB
                )
                pids = rooted_below(host.base)
                samples = plugin.client.stats(spec.id, 1.0)
                await anext(samples)
                began_s, used_s = time.monotonic(), host_cpu_s(pids)
                usages = [await anext(samples) for _ in range(4)]
                truth = (host_cpu_s(pids) - used_s) / (time.monotonic() - began_s) * 100
                seen = sum(usage.total.cpu.percent for usage in usages) / len(usages)
                assert seen == pytest.approx(truth, rel=0.1)
                memory = usages[-1].total.memory
                assert memory.rss_bytes == pytest.approx(host_rss_bytes(pids), rel=0.1)
                assert memory.max_usage_bytes >= 100 * MIB
                assert ("SWAP" in memory.measured) is (racct == "on")
                assert set(usages[-1].by_pid) == {str(pid) for pid in pids}
                await samples.aclose()
                await plugin.client.destroy(spec.id, force=True)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_many_short_programs_are_not_lost(host: rig.Host) -> None:
    """A shell loop that forks all the time is as busy as what it forks."""

    async def scenario() -> None:
        loop = {"Exec_start": "while :; do seq 1 20000 > /dev/null; done", "Mount_devfs": True}
        async with task(host, loop) as (plugin, spec):
            taken = await take(plugin, spec.id, 4)
            main = host.task(spec.id).main
            assert main is not None
            percents = [usage.total.cpu.percent for _, usage in taken[1:]]
            alone = [usage.by_pid[str(main.pid)].cpu.percent for _, usage in taken[1:]]
            assert sum(percents) > 2 * sum(alone)

    asyncio.run(scenario())


def test_the_interval_is_honoured_and_the_first_sample_comes_at_once(host: rig.Host) -> None:
    """0.5 s apart, the first within a moment."""

    async def scenario() -> None:
        async with task(host) as (plugin, spec):
            asked_s = time.monotonic()
            taken = await take(plugin, spec.id, 5, 0.5)
            assert taken[0][0] - asked_s < 1
            gaps = [later[0] - sooner[0] for sooner, later in pairwise(taken)]
            assert sum(gaps) == pytest.approx(2.0, abs=0.4)
            assert taken[-1][1].timestamp_ns > taken[0][1].timestamp_ns

    asyncio.run(scenario())


def test_an_ended_task_is_quiet(host: rig.Host) -> None:
    """The stream says nothing more and stays open; so does that of a task which nobody knows."""

    async def scenario() -> None:
        async with task(host) as (plugin, spec):
            samples = plugin.client.stats(spec.id, 0.2)
            await anext(samples)
            await plugin.client.stop(spec.id, timeout_s=5)
            rest: list[TaskUsage] = []
            foreign: list[TaskUsage] = []
            streams = {
                asyncio.ensure_future(drain(samples, rest)),
                asyncio.ensure_future(drain(plugin.client.stats("nobody", 0.2), foreign)),
            }
            _, still_open = await asyncio.wait(streams, timeout=1.5)
            assert still_open == streams
            assert len(rest) <= 2  # what was under way when the task ended
            assert not foreign
            for one in streams:
                one.cancel()
            await asyncio.gather(*streams, return_exceptions=True)

    asyncio.run(scenario())


def test_a_blind_host_makes_the_stream_quiet(host: rig.Host) -> None:
    """Without a working ps(1) nothing is told; once it works again, the same stream goes on."""

    async def scenario() -> None:
        async with task(host) as (plugin, spec):
            ps = host.tools / "ps"
            whole = ps.read_bytes()
            samples = plugin.client.stats(spec.id, 0.2)
            try:
                await anext(samples)
                ps.write_text("#!/bin/sh\nexit 1\n")
                await asyncio.sleep(0.5)
                waiting = asyncio.ensure_future(anext(samples))
                await asyncio.sleep(1)
            finally:
                ps.write_bytes(whole)
            usage = await asyncio.wait_for(waiting, 10)
            assert usage.total.memory.rss_bytes > 0

    asyncio.run(scenario())


def test_twenty_streams_share_one_look(host: rig.Host) -> None:
    """However many tasks and streams there are, ps(1) runs about twice an interval."""

    async def scenario() -> None:
        async with task(host, SLEEP) as (plugin, spec):
            ps, count = host.tools / "ps", host.base / "count"
            whole = ps.read_bytes()
            real = host.tools / "ps.real"
            real.write_bytes(whole)
            real.chmod(0o755)
            ps.write_text(f'#!/bin/sh\necho x >> {count}\nexec {real} "$@"\n')
            try:
                began_s = time.monotonic()
                await asyncio.gather(*(take(plugin, spec.id, 4) for _ in range(20)))
                took_s = time.monotonic() - began_s
            finally:
                ps.write_bytes(whole)
                real.unlink()
            assert len(count.read_text().split()) <= 2 * took_s + 3

    asyncio.run(scenario())
