"""What the parts of the FreeBSD adapter share: running tools, and listings that many ask for at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar

from jail_driver.host.command import CommandRunner, Completed, Runner
from jail_driver.host.errors import HostError
from jail_driver.host.tools import Tools

Seen = TypeVar("Seen")

_AT_ONCE: Final = max(16, 4 * (os.cpu_count() or 1))
_HOLD_S: Final = 2.0
_TIMEOUT_S = 60.0
_LISTING_BYTES = 64 * 1024 * 1024


class Listing(Generic[Seen]):
    """A listing of the whole host, made once for everybody who waits for it.

    Whoever asks while one is under way gets the next one: an answer never began before its question, so
    that it cannot miss what the asker has just made.

    Args:
        fetch: makes one listing.
    """

    def __init__(self, fetch: Callable[[], Awaitable[Seen]]) -> None:
        self._fetch = fetch
        self._running: asyncio.Task[Seen] | None = None
        self._next: asyncio.Task[Seen] | None = None

    async def get(self) -> Seen:
        """Returns a listing that begins from now on. A cancelled asker does not cancel the others'."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._after(self._running))
            self._next.add_done_callback(_look_at)
        return await asyncio.shield(self._next)

    async def _after(self, running: asyncio.Task[Seen] | None) -> Seen:
        if running is not None and not running.done():
            await asyncio.wait({running})
        self._running, self._next = self._next, None
        return await self._fetch()


class Slots:
    """How many tools run at once: a thousand tasks that start together are not a thousand processes.

    Each tool has a thread of ours that waits for it, and too many of them keep the event loop from answering
    anybody. A tool that takes long (a mount that hangs) gives its place away: it cannot keep all others out.

    Args:
        count: places.
        hold_s: after this a place is given to the next.
    """

    def __init__(self, count: int = _AT_ONCE, hold_s: float = _HOLD_S) -> None:
        self._places = asyncio.Semaphore(count)
        self._hold_s = hold_s

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, first come, first served."""
        held = False

        def give() -> None:
            nonlocal held
            if held:
                held = False
                self._places.release()

        await self._places.acquire()
        held = True
        timer = asyncio.get_running_loop().call_later(self._hold_s, give)
        try:
            yield
        finally:
            timer.cancel()
            give()


class HostCommands:
    """Runs the tools of one host; the base of the adapter's parts.

    Args:
        tools: where they are.
        runner: how commands are run.
    """

    def __init__(self, tools: Tools, runner: Runner | None = None) -> None:
        self._tools = tools
        self._runner = runner or CommandRunner()
        self._slots = Slots()
        self._shared_looks: dict[tuple[str, ...], Listing[Completed]] = {}

    async def _look(self, *argv: str) -> Completed:
        """Runs a command that changes nothing; its whole output is kept."""
        async with self._slots.place():
            return await self._runner.run(
                argv, timeout_s=_TIMEOUT_S, output_limit_bytes=_LISTING_BYTES, kill_on_cancel=True
            )

    async def _look_once(self, *argv: str) -> Completed:
        """Looks once for everybody who waits for the same; for commands of which there are only a few."""
        return await self._shared_looks.setdefault(argv, Listing(partial(self._look, *argv))).get()

    async def _sysctl(self, flag: str, name: str) -> Completed:
        """Reads sysctl(8), once for everybody who waits for the same name."""
        return await self._look_once(self._tools.sysctl, flag, name)

    async def _change(self, *argv: str, lock: Path | None) -> Completed:
        """Runs a command that changes the host."""
        async with self._slots.place():
            return await self._runner.run(argv, lock=lock, timeout_s=_TIMEOUT_S)


def refusal(
    completed: Completed, what: str, kinds: Mapping[str, Callable[[str, str], HostError]]
) -> HostError:
    """Returns the error that a failed command stands for.

    Args:
        completed: the command.
        what: what was being done.
        kinds: an error by a text that its diagnostics contain; without a match it is a HostError.
    """
    for said, kind in kinds.items():
        if said.encode() in completed.stderr:
            return kind(what, completed.words)
    return HostError(what, completed.words)


def says(completed: Completed, *texts: str) -> bool:
    """Tells whether a failed command's diagnostics contain one of some texts."""
    return not completed.timed_out and any(text.encode() in completed.stderr for text in texts)


def _look_at(task: asyncio.Task[Seen]) -> None:
    # Every asker may have been cancelled: then nobody else takes note of a failure.
    if not task.cancelled():
        task.exception()
