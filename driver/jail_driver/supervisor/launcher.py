"""The plugin's side of starting a supervisor: fork it, wait until it is ready, give it its order."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from jail_driver.supervisor import channel, records, server
from jail_driver.supervisor.errors import (
    RecordError,
    SupervisorError,
    SupervisorLostError,
    SupervisorStartError,
)
from jail_driver.supervisor.helper_process import HelperProcess
from jail_driver.supervisor.procid import ProcessId

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LINE_BYTES = 1 << 20
_READY_TIMEOUT_S = 30.0


class Launched:
    """A supervisor that is ready and has started nothing. Use ``go`` or ``abort``, once.

    Attributes:
        identity: the supervisor's own, durable in its directory by now.
    """

    def __init__(
        self, identity: ProcessId, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.identity = identity
        self._reader = reader
        self._writer = writer

    async def go(self, order: Mapping[str, Any]) -> ProcessId | None:
        """Sends the order and waits until main runs. Cancelled, it leaves open whether main will run.

        Setup commands have their own time-outs; there is no other.

        Args:
            order: ``setup``, a list of commands that run one by one, each to its end; ``main``, a command
                or None; ``persist``, whether the task outlives its processes until told ``end``; ``stdout``
                and ``stderr``, paths of Nomad's FIFOs or of plain files or devices; ``consolelog``, absolute
                path of a file that gets both streams as well, or None; ``environment``, kept in memory
                for who asks for it later (optional). A command is ``argv`` (the program's
                absolute path first), ``env`` (the whole environment) and ``cwd`` (None is ``/``), for setup
                also ``timeout_s`` (None is never) and ``text`` (what errors call it). Text may hold any
                bytes, as surrogateescape carries them.

        Returns:
            Main's identity; None if the order has no main.

        Raises:
            SupervisorStartError: main does not run.
            SupervisorLostError: the supervisor died; ask its records.
        """
        payload = json.dumps(order).encode()
        try:
            self._writer.write(len(payload).to_bytes(channel.HEADER_BYTES, "big") + payload)
            await self._writer.drain()
            answer = await _read_event(self._reader)
        except OSError as error:
            raise SupervisorLostError(f"the supervisor died before main ran: {error}") from error
        finally:
            self.abort()
        match answer:
            case {"event": "started", "main": None}:
                return None
            case {"event": "started", "main": {"pid": int(pid), "started_ticks": int(ticks)}}:
                return ProcessId(pid, ticks, self.identity.boot_id)
            case {"event": "start_failed"}:
                failed = records.failure_from(answer)
                raise SupervisorStartError(
                    failed.error, failed.step, failed.reason, failed.exit_code, failed.signal
                )
            case _:
                raise RecordError(f"the supervisor answered the order with {answer}")

    def abort(self) -> None:
        """Lets go of the channel. Before ``go`` the supervisor ends and removes its files; nothing was started."""
        self._writer.transport.abort()


class ForkHelper:
    """Starts supervisors. Its process is started by the first ``spawn``, and again when it died.

    Args:
        boot_id: name of the current boot, for the identities.
        python: the interpreter.
        ready_timeout_s: how long a supervisor may take to write its identity down, seconds.
    """

    def __init__(
        self, boot_id: str, *, python: str = sys.executable, ready_timeout_s: float = _READY_TIMEOUT_S
    ) -> None:
        self._boot_id = boot_id
        self._ready_timeout_s = ready_timeout_s
        self._process = HelperProcess(python)

    @property
    def pid(self) -> int | None:
        """The helper's process id, None while there is none."""
        return self._process.pid

    async def spawn(self, sup_dir: Path, socket_path: Path) -> Launched:
        """Starts the one supervisor of a task; it waits for its order.

        Args:
            sup_dir: absolute; made if missing (its parent exists), mode 0700.
            socket_path: absolute, at most 100 bytes; its directory exists.

        Raises:
            SupervisorError: it cannot be had, with the reason: another one lives there, the task was
                already started before, the host refuses.
        """
        if len(os.fsencode(socket_path)) > server.MAX_PATH_BYTES:
            raise SupervisorError(
                f"the socket's path is longer than {server.MAX_PATH_BYTES} bytes: {socket_path}"
            )
        try:
            await asyncio.to_thread(_make_durable_directory, sup_dir)
        except OSError as error:
            raise SupervisorError(f"cannot make {sup_dir}: {error.strerror}") from error
        request = {"sup_dir": str(sup_dir), "socket_path": str(socket_path), "boot_id": self._boot_id}
        try:
            return await self._spawn_once(request)
        except SupervisorLostError:
            # The helper died with our request in its hands. Nothing was ordered: asking again is safe.
            return await self._spawn_once(request)

    async def close(self) -> None:
        """Ends the helper; supervisors live on."""
        await self._process.close()

    async def _spawn_once(self, request: dict[str, Any]) -> Launched:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                await self._process.send(json.dumps(request).encode(), theirs.fileno())
            reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_BYTES)
        except BaseException:
            ours.close()
            raise
        try:
            async with asyncio.timeout(self._ready_timeout_s):
                own = _identity(await _read_event(reader))
        except TimeoutError:
            writer.transport.abort()
            raise SupervisorError(f"no supervisor was ready after {self._ready_timeout_s:g} s") from None
        except BaseException:
            writer.transport.abort()
            raise
        return Launched(own, reader, writer)


def _identity(answer: dict[str, Any]) -> ProcessId:
    match answer:
        case {"event": "ready", "pid": int(pid), "started_ticks": int(ticks), "boot_id": str(boot_id)}:
            return ProcessId(pid, ticks, boot_id)
        case {"event": "error", "error": str(error)}:
            raise SupervisorError(error)
        case _:
            raise RecordError(f"the supervisor began with {answer}")


async def _read_event(reader: asyncio.StreamReader) -> dict[str, Any]:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise SupervisorLostError("the supervisor died before it answered")
    event: dict[str, Any] = json.loads(line)
    records.check_version(event, "the supervisor's answer")
    return event


def _make_durable_directory(path: Path) -> None:
    """Makes the directory that the records go to, and makes its own name durable.

    Also if it is there: whoever made it may not have synced it, and a record is no safer than its directory.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    for folder in (path.parent, path.parent.parent):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
