"""The conversation with a running command: input to it, output from it, each at the other side's pace."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jail_driver.host.session import Session
    from jail_driver.host.streams import Reader
    from jail_driver.service import ExecStream

_QUIET_S = 0.1
_LAST_WORDS_S = 2.0


async def converse(session: Session, stream: ExecStream) -> None:
    """Return when the command has ended and all its output is sent.

    Without a terminal its outputs end when the last process that holds them ends; with one, only the
    command itself is waited for (drivers/shared/executor/exec_utils.go of Nomad does the same).
    """
    readers = {"stdout": session.stdout} | ({} if session.stderr is None else {"stderr": session.stderr})
    feeding = asyncio.ensure_future(_feed(session, stream))
    pumps = [asyncio.ensure_future(_pump(reader, name, stream)) for name, reader in readers.items()]
    try:
        if session.stderr is None:
            await _until_silent(session, pumps[0])
        await asyncio.gather(*pumps)
        await session.wait()
    finally:
        for one in (feeding, *pumps):
            one.cancel()
        await asyncio.gather(feeding, *pumps, return_exceptions=True)


async def _feed(session: Session, stream: ExecStream) -> None:
    """Hand input on. A command that reads no more is no reason to end it: its output still counts."""
    has_reader = True
    async for request in stream.requests():
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
