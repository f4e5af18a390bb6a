"""Launching a plugin as an agent does: cookie, handshake line, log lines, end (client.go of go-plugin)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from jail_driver.errors import DriverError
from jail_driver.plugin import handshake

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    LogLine = Mapping[str, Any]

HANDSHAKE_TIMEOUT_S = 60.0
"""go-plugin's StartTimeout."""

SHUTDOWN_GRACE_S = 2.0
"""What go-plugin waits after Shutdown before it kills."""

FIELDS = 5
CHUNK_BYTES = 65536
KEPT_STDERR_LINES = 20


class LaunchError(DriverError):
    """The plugin did not come up; the text holds what it said on stderr."""


class PluginProcess:
    """One launched plugin.

    Args:
        process: the running process.
        on_log: gets each line of stderr as hclog's fields; lines of another form as ``@message`` at debug.
    """

    def __init__(self, process: asyncio.subprocess.Process, on_log: Callable[[LogLine], None]) -> None:
        self._process = process
        self._on_log = on_log
        self._said: list[str] = []
        self._stderr = asyncio.create_task(self._read_stderr())
        self.address = ""

    @classmethod
    async def launch(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        on_log: Callable[[LogLine], None] = lambda _line: None,
        timeout_s: float = HANDSHAKE_TIMEOUT_S,
    ) -> PluginProcess:
        """Starts a plugin and waits for its handshake.

        Args:
            argv: the program and its arguments.
            env: the environment besides go-plugin's variables; the caller's own if None.
            on_log: see the class.
            timeout_s: the bound of the handshake, seconds.

        Raises:
            LaunchError: it cannot be run, ended, took too long or said something else.
        """
        environment = dict(os.environ if env is None else env) | {
            handshake.COOKIE_KEY: handshake.COOKIE_VALUE,
            "PLUGIN_PROTOCOL_VERSIONS": str(handshake.APP_PROTOCOL),
        }
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
            )
        except OSError as error:
            raise LaunchError(f"cannot run {argv[0]}: {error.strerror}") from error
        self = cls(process, on_log)
        try:
            self.address = await asyncio.wait_for(self._handshake(), timeout_s)
        except BaseException as error:
            await self.kill()
            if isinstance(error, TimeoutError):
                raise LaunchError(f"{argv[0]} said nothing within {timeout_s:.0f} s") from error
            raise
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, minus the signal's number after a signal; None while it runs."""
        return self._process.returncode

    async def wait(self, timeout_s: float | None = None) -> int:
        """Waits for the end and returns the exit status.

        Raises:
            TimeoutError: it still runs.
        """
        async with asyncio.timeout(timeout_s):
            status = await self._process.wait()
        await self._stderr
        return status

    async def kill(self) -> int:
        """Sends SIGKILL, unless it has ended, and returns the exit status."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        return await self.wait()

    async def end(self) -> int:
        """Gives the plugin, which was told to shut down, its two seconds, then kills it."""
        try:
            return await self.wait(SHUTDOWN_GRACE_S)
        except TimeoutError:
            return await self.kill()

    async def _handshake(self) -> str:
        stdout = self._process.stdout
        line = (await stdout.readline()).decode(errors="replace").strip() if stdout is not None else ""
        if not line:
            await self._process.wait()
            await self._stderr
            said = "\n".join(self._said) or "nothing"
            raise LaunchError(
                f"the plugin ended with status {self.status} before its handshake; it said: {said}"
            )
        fields = line.split("|")
        expected = [str(handshake.CORE_PROTOCOL), str(handshake.APP_PROTOCOL), "unix"]
        if len(fields) < FIELDS or fields[:3] != expected or fields[4] != "grpc":
            raise LaunchError(f"not the handshake of a Nomad plugin: {line!r}")
        return fields[3]

    async def _read_stderr(self) -> None:
        stderr = self._process.stderr
        rest = b""
        while stderr is not None and (chunk := await stderr.read(CHUNK_BYTES)):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._line(line.decode(errors="replace"))
        if rest:
            self._line(rest.decode(errors="replace"))

    def _line(self, line: str) -> None:
        self._said = [*self._said[-KEPT_STDERR_LINES:], line]
        try:
            fields = json.loads(line)
        except ValueError:
            fields = None
        self._on_log(fields if isinstance(fields, dict) else {"@level": "debug", "@message": line})
