"""The plugin's side of a running supervisor: ask, signal, wait. Works for supervisors of older plugins too."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import TYPE_CHECKING, Any

from jail_driver.supervisor import records
from jail_driver.supervisor.errors import RecordError
from jail_driver.supervisor.records import alive, read_exit, read_failure, read_identity
from jail_driver.supervisor.status import Status, status_from

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from jail_driver.supervisor.records import ExitRecord

__all__ = ["SupervisorClient", "alive", "read_exit", "read_failure", "read_identity"]

_TIMEOUT_S = 30.0
_LINE_BYTES = 1 << 24
"""A task's environment may take a megabyte or two, and JSON makes it longer."""


class SupervisorClient:
    """One connection to one supervisor, whichever plugin started it; use it with ``async with``.

    Every method may raise EOFError: the supervisor has ended or was killed, perhaps before it took the
    request. Its lock and its records tell the rest then (``alive``, ``read_exit``).

    Args:
        socket_path: where it listens.

    Raises:
        OSError: on entering: nobody listens there.
    """

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._replies: deque[asyncio.Future[dict[str, Any]]] = deque()
        loop = asyncio.get_running_loop()
        self._exit: asyncio.Future[ExitRecord | None] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._is_cut = False

    async def __aenter__(self) -> Self:
        reader, self._writer = await asyncio.open_unix_connection(self._socket_path, limit=_LINE_BYTES)
        self._reading = asyncio.create_task(self._read(reader), name=f"read {self._socket_path}")
        # From the first moment, so that no news is missed between a request and a wait.
        self._send("watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def status(self) -> Status:
        """Asks how the task is.

        Raises:
            EOFError: cut off.
            RecordError: the supervisor is newer than this program.
        """
        return status_from(await self._request("status"))

    async def signal(self, name: str) -> str:
        """Sends a signal to main, by name (``SIGHUP``).

        Returns:
            Why it was not sent: an unknown name, main not started yet or already ended. Empty if it was.

        Raises:
            EOFError: cut off; nobody knows whether it was sent.
        """
        reply = await self._request("signal", name=name)
        return "" if reply["ok"] else str(reply["error"])

    async def environment(self) -> dict[str, str] | None:
        """Asks for the environment that the order named, secrets included.

        Returns:
            None if the order named none, or if the supervisor is an older one that keeps none.

        Raises:
            EOFError: cut off.
        """
        reply = await self._request("environment")
        return (
            {str(name): str(value) for name, value in reply["environment"].items()} if reply["ok"] else None
        )

    async def end(self) -> None:
        """Tells it to hold a persistent task no longer, nor to wait for what a failed start left behind.

        Raises:
            EOFError: cut off: it has ended.
        """
        await self._request("end")

    async def wait_exit(self) -> ExitRecord | None:
        """Waits until the end of the task is recorded; descendants may still live.

        Returns:
            The record; None if the start failed and main never ran.

        Raises:
            EOFError: cut off before that.
        """
        return await asyncio.shield(self._exit)

    async def wait_gone(self) -> None:
        """Waits until no process of the task is left and all its output is handed on.

        Raises:
            EOFError: cut off before that.
        """
        await asyncio.shield(self._gone)

    async def _request(self, op: str, /, **fields: Any) -> dict[str, Any]:
        if self._is_cut:
            raise EOFError("the supervisor has ended")
        async with asyncio.timeout(_TIMEOUT_S):
            return await self._send(op, **fields)

    def _send(self, op: str, /, **fields: Any) -> asyncio.Future[dict[str, Any]]:
        if self._writer is None:
            raise RuntimeError("use the client with `async with`")
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies.append(reply)
        self._writer.write(json.dumps({"version": 1, "op": op, **fields}).encode() + b"\n")
        return reply

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                message = json.loads(line)
                records.check_version(message, "the supervisor's message")
                self._take(message)
        except (OSError, ValueError, KeyError, RecordError) as error:
            self._cut(error if isinstance(error, RecordError) else EOFError(str(error)))
        finally:
            self._cut(EOFError("the supervisor has ended"))

    def _take(self, message: dict[str, Any]) -> None:
        match message.get("event"):
            case None:
                reply = self._replies.popleft()
                if not reply.done():
                    reply.set_result(message)
            case "exit" if not self._exit.done():
                self._exit.set_result(records.exit_from(message["exit"]))
            case "gone" if not self._gone.done():
                self._gone.set_result(None)
            case _:
                return  # News of a newer supervisor, or of no interest here.

    def _cut(self, error: Exception) -> None:
        self._is_cut = True
        waiting: list[asyncio.Future[Any]] = [*self._replies, self._exit, self._gone]
        self._replies.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                # Marked as seen: most of them nobody waits for any more.
                with contextlib.suppress(Exception):
                    future.exception()
