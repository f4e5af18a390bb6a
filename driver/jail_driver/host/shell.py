"""What the parts of the FreeBSD adapter share: running tools, and listings that many ask for at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from jail_driver.host.command import CommandRunner, Completed, Runner
from jail_driver.host.errors import HostError
from jail_driver.host.tools import Tools

Seen = TypeVar("Seen")

_AT_ONCE = 64
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
        if running is not None:
            await asyncio.wait({running})
        self._running, self._next = self._next, None
        return await self._fetch()


class HostCommands:
    """Runs the tools of one host; the base of the adapter's parts.

    Args:
        tools: where they are.
        runner: how commands are run.
    """

    def __init__(self, tools: Tools, runner: Runner | None = None) -> None:
        self._tools = tools
        self._runner = runner or CommandRunner()
        # A thousand tasks that start at once would otherwise be a thousand processes at once.
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def _look(self, *argv: str) -> Completed:
        """Runs a command that changes nothing; its whole output is kept."""
        return await self._runner.run(
            argv, timeout_s=_TIMEOUT_S, output_limit_bytes=_LISTING_BYTES, kill_on_cancel=True
        )

    async def _change(self, *argv: str, lock: Path | None) -> Completed:
        """Runs a command that changes the host."""
        async with self._slots:
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
