"""A place for one supervised task, as tests use it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jail_driver.supervisor.client import SupervisorClient, alive, read_identity
from jail_driver.supervisor.launcher import ForkHelper, Launched
from jail_driver.supervisor.procid import ProcessId, started_ticks
from jail_driver.supervisor.status import Status

_T = TypeVar("_T")
BOOT = "test:boot"
PATIENCE_S = 20.0


def command(*argv: str, env: Mapping[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """Makes one command of an order."""
    return {"argv": list(argv), "env": dict(env or {}), "cwd": None, "timeout_s": None, **fields}


def shell(script: str, env: Mapping[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """Makes a command that a shell runs."""
    return command("/bin/sh", "-c", script, env={"PATH": "/usr/bin:/bin", **(env or {})}, **fields)


def until(condition: Callable[[], object], what: str) -> None:
    """Waits until a condition holds; fails the test by name if it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


async def until_status(client: SupervisorClient, condition: Callable[[Status], object], what: str) -> None:
    """Asks a supervisor until it says so; fails the test by name if it never does."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition(status := await client.status()):  # noqa: ASYNC110  # it does not tell by itself
            await asyncio.sleep(0.01)
    assert condition(status), what


def children(pid: int) -> list[int]:
    """Lists all descendants of a process, the farthest last."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *children(int(child))]
    return found


def state_of(pid: int) -> str:
    """Reads a process's state letter; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


class Lab:
    """One task's directories and FIFOs, and the plugin's side of it.

    Args:
        folder: short enough for a socket's path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sup_dir = folder / "sup"
        self.socket = folder / "s.sock"
        self.stdout = folder / "out.fifo"
        self.stderr = folder / "err.fifo"
        os.mkfifo(self.stdout, 0o600)
        os.mkfifo(self.stderr, 0o600)
        self.helper = ForkHelper(BOOT)
        self._started: list[ProcessId] = []
        self._readers: dict[Path, int] = {}

    def run(self, test: Coroutine[Any, Any, _T]) -> _T:
        """Runs a test's coroutine, and ends the helper in the same loop."""

        async def whole() -> _T:
            try:
                return await test
            finally:
                await self.helper.close()

        return asyncio.run(whole())

    def read_from(self, path: Path) -> None:
        """Opens a FIFO as Nomad's log collector does, without waiting for a writer."""
        self._readers[path] = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def taken(self, path: Path) -> bytes:
        """Takes what is in a FIFO now."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self._readers[path], 1 << 20)
        return b""

    def order(
        self,
        main: dict[str, Any] | None,
        *setup: dict[str, Any],
        stdout: Path | str | None = None,
        stderr: Path | str | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Makes an order that logs to the lab's FIFOs."""
        return {
            "main": main,
            "setup": list(setup),
            "persist": False,
            "stdout": str(stdout or self.stdout),
            "stderr": str(stderr or self.stderr),
            "consolelog": None,
            **fields,
        }

    async def spawn(self) -> Launched:
        """Starts the supervisor."""
        launched = await self.helper.spawn(self.sup_dir, self.socket)
        self._started.append(launched.identity)
        return launched

    async def start(
        self, main: dict[str, Any] | None, *setup: dict[str, Any], **fields: Any
    ) -> ProcessId | None:
        """Starts the supervisor and gives it an order."""
        launched = await self.spawn()
        return await launched.go(self.order(main, *setup, **fields))

    async def main(self, main: dict[str, Any], *setup: dict[str, Any], **fields: Any) -> ProcessId:
        """Starts a task that has a main."""
        started = await self.start(main, *setup, **fields)
        assert started is not None
        return started

    def client(self) -> SupervisorClient:
        """Makes a client of the lab's supervisor."""
        return SupervisorClient(self.socket)

    @property
    def supervisor(self) -> ProcessId:
        """The newest supervisor."""
        return self._started[-1]

    def wait_ended(self) -> None:
        """Waits until the supervisor's lock is free."""
        until(lambda: not alive(self.sup_dir), "the supervisor's end")

    def clean(self) -> None:
        """Kills what the test left, by pid and start time, and removes the files."""
        for fd in self._readers.values():
            os.close(fd)
        identity = read_identity(self.sup_dir) if self.sup_dir.is_dir() else None
        main = [] if identity is None or identity.main is None else [identity.main]
        for one in [*self._started, *main]:
            if started_ticks(one.pid) != one.started_ticks:
                continue
            for pid in [*children(one.pid), one.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def kill(process: ProcessId) -> None:
    """Kills outright, and only that process."""
    assert started_ticks(process.pid) == process.started_ticks
    os.kill(process.pid, signal.SIGKILL)
