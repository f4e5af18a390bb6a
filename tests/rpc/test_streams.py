"""Long calls: what stays open, who is counted, and what a vanished caller leaves behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from jail_driver import model
from jail_driver.agent.client import DriverClient
from plugin_client import Loaded, loaded, sample_task

Env = Mapping[str, str]


async def eventually(check: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until the check holds."""
    ends_at = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < ends_at, "it never came true"
        await asyncio.sleep(0.02)


def test_fingerprint_stays_open(argv: list[str], env: Env) -> None:
    """The first fingerprint comes at once, typed attributes with it, and the stream stays open."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            fingerprints = plugin.client.fingerprints()
            first = await anext(fingerprints)
            assert (first.health, first.description) == (model.Health.HEALTHY, "Healthy")
            assert first.attributes == {
                "driver.fake": model.Attribute(True),
                "driver.fake.memory": model.Attribute(64, "MiB"),
            }
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(fingerprints), 0.3)

    asyncio.run(scenario())


def test_a_broken_fingerprint_is_unhealthy(argv: list[str], env: Env) -> None:
    """A service that can no longer tell is an unhealthy driver with the reason; Nomad then asks anew."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.set_config({"fingerprint": "breaks"}, real=True)
            seen = [one async for one in plugin.client.fingerprints()]
            assert (seen[-1].health, seen[-1].description) == (model.Health.UNHEALTHY, "the disk is gone")

    asyncio.run(scenario())


def test_task_events(argv: list[str], env: Env) -> None:
    """Events arrive with their time and annotations."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            event = await anext(plugin.client.events())
            note = {"hook": "prestart"}
            assert event == model.DriverTaskEvent("id", "web", "alloc", 1_500_000_000, "hook ran", note)

    asyncio.run(scenario())


def test_stats_are_quiet_when_there_is_nothing_to_say(argv: list[str], env: Env) -> None:
    """Neither an error nor the end of the samples ends the stream: Nomad would complain each second."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t"))
            await plugin.client.start(sample_task("mute", fail_stats=True))
            samples = plugin.client.stats("t", 0.5)
            usage = model.ResourceUsage(
                model.CpuUsage(1.5, 2.5, 0.5, 12.0), model.MemoryUsage(4096, swap_bytes=1)
            )
            assert [await anext(samples), await anext(samples)] == [
                model.TaskUsage(n, usage) for n in range(2)
            ]
            for quiet in (samples, plugin.client.stats("mute", 1), plugin.client.stats("nobody", 1)):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(quiet), 0.2)

    asyncio.run(scenario())


def test_a_thousand_waits(argv: list[str], env: Env) -> None:
    """A thousand tasks are a normal day: all wait at once, and another RPC is answered meanwhile."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("other"))
            await plugin.client.start(sample_task("t", runs=True))
            waits = [asyncio.create_task(plugin.client.wait("t")) for _ in range(1000)]
            await _counted(plugin, 1000)
            began = time.monotonic()
            await plugin.client.inspect("other")
            assert time.monotonic() - began < 2
            await plugin.client.stop("t", timeout_s=0)
            assert {result.exit_code for result in await asyncio.gather(*waits)} == {7}
            await _counted(plugin, 0)

    asyncio.run(scenario())


async def _counted(plugin: Loaded, waits: int) -> None:
    ends_at = time.monotonic() + 20
    while (status := await plugin.client.inspect("other")).attributes["long_calls"] != str(waits):
        assert time.monotonic() < ends_at, status.attributes
        await asyncio.sleep(0.05)


def test_activity_tells_who_is_there(argv: list[str], env: Env) -> None:
    """Fingerprint, TaskEvents and WaitTask count as long calls while they are open."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t", runs=True))
            streams = plugin.client.fingerprints(), plugin.client.events()
            for stream in streams:
                await anext(stream)
            wait = asyncio.create_task(plugin.client.wait("t"))
            await asyncio.sleep(0.1)
            attributes = (await plugin.client.inspect("t")).attributes
            calls = {name: attributes[name] for name in ("Fingerprint", "TaskEvents", "WaitTask")}
            assert calls == {"Fingerprint": "1", "TaskEvents": "1", "WaitTask": "1"}
            assert (attributes["long_calls"], attributes["agent"]) == ("3", "True")
            wait.cancel()

    asyncio.run(scenario())


def test_a_vanished_client_leaves_nothing_open(argv: list[str], env: Env, notes: Path) -> None:
    """An agent killed in the middle of its streams: they are closed, counted out, and nobody complains."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t", runs=True))
            agent = await asyncio.create_subprocess_exec(
                argv[0], "-c", VANISHING_AGENT, plugin.process.address, stdout=asyncio.subprocess.PIPE
            )
            assert agent.stdout is not None
            assert await agent.stdout.readline() == b"open\n"
            assert (await plugin.client.inspect("t")).attributes["long_calls"] == "3"
            agent.kill()
            await agent.wait()
            closed = {"fingerprints closed", "events closed", "stats closed"}
            await eventually(lambda: closed <= set(notes.read_text().splitlines()))
            assert (await plugin.client.inspect("t")).attributes["long_calls"] == "0"
            await plugin.client.shutdown()
            await plugin.process.end()
            assert not [line for line in plugin.lines if line["@level"] in {"warn", "error"}]

    asyncio.run(scenario())


VANISHING_AGENT = """
import asyncio, sys
from jail_driver.agent.client import DriverClient

async def main():
    client = DriverClient(sys.argv[1])
    await client.connect()
    streams = client.fingerprints(), client.events(), client.stats("t", 1)
    for stream in streams:
        await anext(stream)
    wait = asyncio.create_task(client.wait("t"))
    await asyncio.sleep(0.2)
    print("open", flush=True)
    await wait

asyncio.run(main())
"""


def test_a_vanished_caller_does_not_stop_the_work(argv: list[str], env: Env, notes: Path) -> None:
    """An agent that dies in the middle of StartTask leaves a start that is finished, not half a jail."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            other = DriverClient(plugin.process.address)
            start = asyncio.create_task(other.start(sample_task("slow", slow_s=0.5)))
            failing = asyncio.create_task(other.start(sample_task("bad", slow_s=0.5, fail="again")))
            await eventually(lambda: plugin.messages().count("starting") == 2)
            start.cancel()
            failing.cancel()
            await other.close()
            await eventually(lambda: notes.exists() and "started slow" in notes.read_text())
            assert (await plugin.client.inspect("slow")).id == "slow"
            await eventually(
                lambda: "work ended with an error after its caller had gone" in plugin.messages()
            )

    asyncio.run(scenario())
