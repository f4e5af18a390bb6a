"""The conversation with a running command: input to it, output from it, each at the other side's pace."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jail_driver.errors import DriverError

if TYPE_CHECKING:
    from jail_driver.host.session import Session
    from jail_driver.host.streams import Reader
    from jail_driver.service import ExecStream

_QUIET_S = 0.1
_LAST_WORDS_S = 2.0
_SILENCE_S = 130.0
"""A browser slows the heartbeats of a hidden tab down to one a minute; one of those may be late."""


async def converse(session: Session, stream: ExecStream, *, silence_s: float = _SILENCE_S) -> None:
    """Return when the command has ended and all its output is sent.

    Without a terminal its outputs end when the last process that holds them ends; with one, only the
    command itself is waited for (drivers/shared/executor/exec_utils.go of Nomad does the same).

    Args:
        session: the command.
        stream: the caller.
        silence_s: a caller that has sent heartbeats and then nothing for so long is gone. The agent learns
            that only when the command says something (command/agent/alloc_endpoint.go), and tells nobody.

    Raises:
        DriverError: the caller is gone.
    """
    readers = {"stdout": session.stdout} | ({} if session.stderr is None else {"stderr": session.stderr})
    caller = _Caller(session, stream)
    feeding = asyncio.ensure_future(caller.feed())
    listening = asyncio.ensure_future(caller.until_gone(silence_s))
    pumps = [asyncio.ensure_future(_pump(reader, name, stream)) for name, reader in readers.items()]
    hearing = asyncio.ensure_future(_hear(session, pumps))
    try:
        either: set[asyncio.Future[Any]] = {hearing, listening}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        await (hearing if hearing.done() else listening)
    finally:
        everything = (feeding, listening, hearing, *pumps)
        for one in everything:
            one.cancel()
        await asyncio.gather(*everything, return_exceptions=True)


async def _hear(session: Session, pumps: Sequence[asyncio.Future[None]]) -> None:
    if session.stderr is None:
        await _until_silent(session, pumps[0])
    await asyncio.gather(*pumps)
    await session.wait()


class _Caller:
    """Whoever feeds a command."""

    def __init__(self, session: Session, stream: ExecStream) -> None:
        self._session = session
        self._stream = stream
        self._heard_s = asyncio.get_running_loop().time()
        self._beats = asyncio.Event()

    async def feed(self) -> None:
        """Hand input on. A command that reads no more is no reason to end it: its output still counts."""
        session, has_reader = self._session, True
        async for request in self._stream.requests():
            self._heard_s = asyncio.get_running_loop().time()
            if "heartbeat" in request:
                self._beats.set()
            if "tty_size" in request:
                with contextlib.suppress(OSError):  # it has just ended
                    session.resize(*request["tty_size"])
            if request.get("stdin") and has_reader:
                try:
                    await session.stdin.write(request["stdin"])
                except BrokenPipeError:
                    has_reader = False
            if request.get("stdin_close"):
                session.end_input()
        if session.stderr is not None:
            session.end_input()

    async def until_gone(self, silence_s: float) -> None:
        """Wait until a caller that used to send heartbeats has been silent for too long."""
        await self._beats.wait()
        loop = asyncio.get_running_loop()
        while (left_s := self._heard_s + silence_s - loop.time()) > 0:  # noqa: ASYNC110  # it is silence that is waited for
            await asyncio.sleep(left_s)
        raise DriverError(f"the caller has not been heard of for {silence_s:g} s")


async def _pump(reader: Reader, name: str, stream: ExecStream) -> None:
    while data := await reader.read():
        await stream.send(name, data)
    await stream.send(name, b"", close=True)


async def _until_silent(session: Session, pump: asyncio.Future[None]) -> None:
    """Wait for the command, then for what it said last: the kernel hands that on a moment later.

    Background processes may hold the terminal, and even write to it, for ever.
    """
    ended = asyncio.ensure_future(session.wait())
    try:
        either: set[asyncio.Future[Any]] = {ended, pump}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()  # one that cannot send means that the caller is gone: no need to wait then
            await asyncio.wait({ended})
    finally:
        ended.cancel()
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _LAST_WORDS_S
    while not pump.done():
        before = session.stdout.received_bytes
        await asyncio.wait({pump}, timeout=_QUIET_S)
        is_quiet = session.stdout.is_waiting and session.stdout.received_bytes == before
        if is_quiet or loop.time() > deadline_s:
            session.stdout.stop()
            break
