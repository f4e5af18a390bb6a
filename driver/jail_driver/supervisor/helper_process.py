"""Runs the fork helper, and again when it died."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from jail_driver.supervisor import channel
from jail_driver.supervisor.errors import SupervisorError

_HELPER = Path(__file__).resolve().with_name("fork_helper.py")
_CLOSE_TIMEOUT_S = 5.0


class HelperProcess:
    """The helper and the socket to it. There is no process before the first request.

    Args:
        python: the interpreter.
    """

    def __init__(self, python: str) -> None:
        self._python = python
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The helper's process id, None while there is none."""
        return None if self._process is None else self._process.pid

    async def send(self, request: bytes, go_fd: int) -> None:
        """Hands over one request; a helper that turns out to be dead is replaced once.

        Args:
            request: JSON.
            go_fd: goes along; still the caller's to close.

        Raises:
            SupervisorError: no helper takes it.
        """
        message = len(request).to_bytes(channel.HEADER_BYTES, "big") + request
        async with self._lock:
            for is_last in (False, True):
                control = await self._running()
                try:
                    await _send_with_fd(control, message, go_fd)
                except BaseException as error:
                    # Also when cancelled: half a request would garble the next one.
                    await self._drop()
                    if not isinstance(error, OSError):
                        raise
                    if is_last:
                        raise SupervisorError(f"the fork helper takes no requests: {error}") from error
                else:
                    return

    async def close(self) -> None:
        """Ends the helper; supervisors live on."""
        async with self._lock:
            await self._drop()

    async def _running(self) -> socket.socket:
        if self._process is not None and self._process.returncode is not None:
            await self._drop()
        if self._control is None:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    self._process = await self._execute(theirs.fileno())
                except BaseException as error:
                    ours.close()
                    if isinstance(error, OSError):
                        raise SupervisorError(f"cannot start the fork helper: {error}") from error
                    raise
            ours.setblocking(False)
            self._control = ours
        return self._control

    async def _execute(self, control_fd: int) -> asyncio.subprocess.Process:
        # Not the agent's environment: it holds tokens, and /proc shows it for as long as a supervisor lives.
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        return await asyncio.create_subprocess_exec(
            *(self._python, "-I", "-S", "-X", "utf8", str(_HELPER), str(control_fd)),
            pass_fds=(control_fd,),
            env=kept,
            cwd="/",
            start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            # Not the plugin's own: Nomad waits for the end of that pipe.
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def _drop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        process, self._process = self._process, None
        if process is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _send_with_fd(control: socket.socket, message: bytes, fd: int) -> None:
    """Sends on a non-blocking stream socket; the descriptor goes with the first byte (unix(4), SCM_RIGHTS)."""
    sent = 0
    while not sent:
        try:
            sent = socket.send_fds(control, [message], [fd])
        except BlockingIOError:
            await _until_writable(control)
    await asyncio.get_running_loop().sock_sendall(control, message[sent:])


async def _until_writable(control: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(control, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(control)
