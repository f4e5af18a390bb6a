"""TaskEvents: what an operator is told, once and no more than is worth telling."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

import rig
from jail_driver.model import DriverTaskEvent
from operate.operating import SLEEP

pytestmark = rig.needs_root


class Listener:
    """Keeps what a plugin tells."""

    def __init__(self, plugin: rig.Plugin) -> None:
        self.events: list[DriverTaskEvent] = []
        self._task = asyncio.create_task(self._listen(plugin))

    async def _listen(self, plugin: rig.Plugin) -> None:
        async for event in plugin.client.events():
            self.events.append(event)

    async def expect(self, *patterns: str) -> Sequence[DriverTaskEvent]:
        """Waits for as many events as there are patterns, and that is all there are."""
        await rig.until(f"{len(patterns)} events", lambda: len(self.events) >= len(patterns))
        await asyncio.sleep(0.3)
        messages = [event.message for event in self.events]
        assert len(messages) == len(patterns), messages
        for message, pattern in zip(messages, patterns, strict=True):
            assert re.fullmatch(pattern, message), messages
        self._task.cancel()
        return self.events


def test_a_quiet_life(host: rig.Host) -> None:
    """Two events: made and unmade; each says which task, jail and state."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec(SLEEP)
        async with rig.plugin(host) as plugin:
            listener = Listener(plugin)
            await plugin.start(spec)
            await plugin.client.stop(spec.id, timeout_s=5)
            await plugin.client.destroy(spec.id)
            made, unmade = await listener.expect(
                r"jail \d+ \(\S+\) created", r"torn down \(stopped by Nomad\)"
            )
        assert (made.task_id, made.alloc_id, made.task_name) == (spec.id, spec.alloc_id, "web")
        name = host.task(spec.id).plan.jail_name
        assert made.annotations["jail"] == unmade.annotations["jail"] == name
        assert (made.annotations["state"], unmade.annotations["state"]) == ("prestart", "stopped")
        assert made.annotations["jid"].isdigit()
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_driver_that_cannot_serve_yet(host: rig.Host) -> None:
    """The stream stays open and silent, and tells as soon as there is something: Nomad would never pause."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec(SLEEP)
        tools = host.base / "later"
        async with rig.plugin(host, jail_tools=str(tools)) as plugin:
            stream = plugin.client.events()
            first = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(1)
            assert not first.done()
            tools.symlink_to(host.tools)
            await plugin.start(spec)
            assert "created" in (await asyncio.wait_for(first, 15)).message
            await plugin.client.destroy(spec.id, force=True)
        tools.unlink()
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_hook_that_fails(host: rig.Host) -> None:
    """Its name, its status and the last thing it said."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({**SLEEP, "Exec_prestop": "echo first; echo cannot say goodbye >&2; exit 3"})
        async with rig.plugin(host) as plugin:
            listener = Listener(plugin)
            await plugin.start(spec)
            await plugin.client.stop(spec.id, timeout_s=5)
            await plugin.client.destroy(spec.id)
            await listener.expect(
                r"jail .* created",
                r"exec\.prestop\[\d\] failed with status 3: (.*)cannot say goodbye",
                r"torn down .*",
            )
        host.wait_clean(before)

    asyncio.run(scenario())


def test_recovered(host: rig.Host) -> None:
    """Told once for a new plugin, not again because Nomad asks for the task."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec(SLEEP)
        first = await rig.launch(host)
        started = await first.start(spec)
        await first.kill()
        async with rig.plugin(host) as second:
            listener = Listener(second)
            await second.client.recover(started.handle)
            await second.client.recover(started.handle)
            await second.client.destroy(spec.id, force=True)
            await listener.expect(
                r"recovered: reattached to jail \d+", r"torn down \(stopped by Nomad \(destroy\)\)"
            )
        host.wait_clean(before)

    asyncio.run(scenario())


def test_fenced(host: rig.Host) -> None:
    """A newer start of the same task ends the older one, and says so in the older one's name."""

    async def scenario() -> None:
        before = host.snapshot()
        old = host.spec(SLEEP)
        new = replace(old, id=f"{old.id}-again")
        async with rig.plugin(host) as plugin:
            listener = Listener(plugin)
            await plugin.start(old)
            await plugin.start(new)
            for spec in (old, new):
                await plugin.client.destroy(spec.id, force=True)
            _, fenced, *_ = await listener.expect(
                r"jail .* created",
                r"fenced: a newer start of the same task ends this one first",
                r"torn down \(stopped by a newer start of the same task\)",
                r"jail .* created",
                r"torn down .*",
            )
            assert fenced.task_id == old.id
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_silent_limit(host: rig.Host) -> None:
    """A rule that denies is noticed by the figures; told once, however long the task stays at it."""

    async def scenario() -> None:
        before = host.snapshot()
        sleepers = "for n in 1 2 3 4 5; do sleep 600 & done; wait"
        rule = {"Maxproc": {"Action": "deny", "Amount": "6"}}
        spec = host.spec({"Exec_start": sleepers, "Mount_devfs": True, "Rctl": rule})
        async with rig.plugin(host) as plugin:
            listener = Listener(plugin)
            await plugin.start(spec)
            samples = plugin.client.stats(spec.id, 0.3)
            for _ in range(6):
                await anext(samples)
            await plugin.client.destroy(spec.id, force=True)
            await listener.expect(
                r"jail .* created",
                r"limit reached: maxproc is 6 of 6 \(maxproc:deny=6\)",
                r"torn down .*",
            )
        host.wait_clean(before)

    asyncio.run(scenario())
