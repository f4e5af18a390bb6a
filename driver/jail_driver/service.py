"""The port between the RPC layer and the engine: what a driver service does, in plain data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from jail_driver.model import (
    DriverTaskEvent,
    ExecOutcome,
    ExitResult,
    Fingerprint,
    Handle,
    StartedTask,
    TaskSpec,
    TaskStatus,
    TaskUsage,
)


class ExecStream(Protocol):
    """The two directions of one ExecTaskStreaming call, in plain data (RPC layer's side of the port)."""

    def requests(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yields ``{"stdin": bytes}``, ``{"stdin_close": True}``, ``{"tty_size": (height, width)}``.

        ``{"heartbeat": True}`` says that the caller is still there (Nomad's every ten seconds).
        """
        ...

    async def send(self, stream: str, data: bytes, *, close: bool = False) -> None:
        """Sends output; ``stream`` is "stdout" or "stderr"."""
        ...


class DriverService(Protocol):
    """What Nomad asks of a task driver. Every method may raise ``jail_driver.errors.DriverError``."""

    async def configure(self, config: Mapping[str, Any], *, real: bool) -> None:
        """Takes the decoded plugin config block. ``real`` is False for Nomad's validation launch.

        Raises:
            ConfigError: an option that cannot work; nothing is touched.
        """
        ...

    def fingerprints(self) -> AsyncIterator[Fingerprint]:
        """Yields one fingerprint at once, then each change."""
        ...

    async def start(self, spec: TaskSpec) -> StartedTask:
        """Starts a task, or joins the start that is under way for this id (idempotent).

        Raises:
            ConfigError: not recoverable.
            StartError: after the teardown of what was made.
        """
        ...

    async def recover(self, handle: Handle) -> None:
        """Takes a task back after a restart of plugin or agent. An ended task is fine.

        Raises:
            UnknownTaskError: nothing can be established about it.
            HandleError: it is none of this driver's.
        """
        ...

    async def wait(self, task_id: str) -> ExitResult:
        """Returns once the task is stopped and unmade; repeatable."""
        ...

    async def stop(self, task_id: str, *, timeout_s: float, signal: str) -> None:
        """Stops a task and returns at ``stopped``; unknown and ended tasks are fine."""
        ...

    async def destroy(self, task_id: str, *, force: bool) -> None:
        """Forgets an ended task, ending it first if forced; unknown tasks are fine."""
        ...

    async def inspect(self, task_id: str) -> TaskStatus:
        """Returns the task's state, times, result and attributes."""
        ...

    async def signal(self, task_id: str, signal: str) -> None:
        """Sends a signal by name, such as "SIGHUP", to main."""
        ...

    def stats(self, task_id: str, interval_s: float) -> AsyncIterator[TaskUsage]:
        """Yields a sample at once and then at each interval, until the task ends."""
        ...

    def events(self) -> AsyncIterator[DriverTaskEvent]:
        """Yields what operators want to see, as it happens."""
        ...

    async def exec(self, task_id: str, argv: tuple[str, ...], timeout_s: float) -> ExecOutcome:
        """Runs a command in the task's jail; its exit code is in the result, never an error."""
        ...

    async def exec_streaming(
        self, task_id: str, argv: tuple[str, ...], *, tty: bool, stream: ExecStream
    ) -> ExitResult:
        """Runs a command in the task's jail with its streams connected."""
        ...
