"""What the tests of a live task say to a plugin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import rig
from jail_driver.agent.exec_session import ExecSession
from jail_driver.model import ExitResult, TaskSpec

SLEEP = {"Exec_start": "sleep 600", "Mount_devfs": True}


@dataclass(frozen=True, slots=True)
class Said:
    """How a streamed command ended and what it said."""

    stdout: bytes
    stderr: bytes
    result: ExitResult | None


@asynccontextmanager
async def task(
    host: rig.Host, config: Mapping[str, Any] | None = None, **changes: Any
) -> AsyncIterator[tuple[rig.Plugin, TaskSpec]]:
    """A plugin with one running task; nothing of either is left."""
    before = host.snapshot()
    spec = host.spec(config or SLEEP, **changes)
    async with rig.plugin(host) as plugin:
        await plugin.start(spec)
        try:
            yield plugin, spec
        finally:
            await plugin.client.destroy(spec.id, force=True)
    host.wait_clean(before)


@contextmanager
def accounting(host: rig.Host, *, on: bool) -> Iterator[None]:
    """A host whose kernel was booted with kern.racct.enable=1, or without."""
    host.settings(racct=on)
    try:
        yield
    finally:
        host.settings(racct=True)


async def hear(session: ExecSession) -> Said:
    """Listens until the command has ended."""
    out: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    async for name, data in session.outputs():
        out[name] += data
    return Said(bytes(out["stdout"]), bytes(out["stderr"]), session.result)


async def say(  # one session's whole script
    plugin: rig.Plugin,
    spec: TaskSpec,
    *argv: str,
    tty: bool = False,
    stdin: Iterable[bytes] = (),
    sizes: Iterable[tuple[int, int]] = (),
    close: bool = True,
    timeout_s: float = 30.0,
) -> Said:
    """Runs a command with its streams connected, as ``nomad alloc exec`` does."""
    session = await plugin.client.exec_streaming(spec.id, argv, tty=tty)
    for height, width in sizes:
        await session.resize(height, width)

    async def feed() -> None:
        for data in stdin:
            await session.send(data)
        if close and not tty:
            await session.close_stdin()

    feeding = asyncio.create_task(feed())
    try:
        return await asyncio.wait_for(hear(session), timeout_s)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


def sh(text: str) -> tuple[str, ...]:
    """A command for the jail's shell."""
    return ("/bin/sh", "-c", text)
