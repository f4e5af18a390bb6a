"""A real plugin process around a scripted service; run by the tests as a program.

The task's config says what happens: ``fail`` names an error, ``runs`` makes the task run until it is stopped, ``slow_s``
how long StartTask takes. ``FAKE_NOTES`` names a file that gets one line for each thing done.
"""

# ruff: noqa: D102  # the port, jail_driver.service, documents its methods

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from jail_driver import errors, hclspec, log, model
from jail_driver.activity import Activity
from jail_driver.plugin.serve import serve
from jail_driver.rpc.about import About
from jail_driver.service import ExecStream

FAILURES: Mapping[str, Exception] = {
    "config": errors.ConfigError("Path: /nowhere does not exist: make it"),
    "again": errors.StartError("exec.prestart[1] failed with status 3", recoverable=True),
    "never": errors.StartError("no such program: httpd", recoverable=False),
    "host": errors.HostError("mount /alloc", "No such file or directory"),
    "unavailable": errors.UnavailableError("the database is locked"),
    "unknown": errors.UnknownTaskError("x"),
    "unsupported": errors.UnsupportedError("use Exec_start instead"),
    "defect": ZeroDivisionError("division by zero"),
    "long": errors.ConfigError("ü" * 100_000),
}


CHILD = """
import os, signal, time
ignored = [n for n in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM) if signal.getsignal(n) is signal.SIG_IGN]
with open(os.environ["FAKE_NOTES"], "a") as notes:
    notes.write(f"child {os.getpid()} ignores {ignored}\\n")
time.sleep(30)
"""


class FakeService:
    """The port of ``jail_driver.service``, scripted."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._tasks: dict[str, tuple[asyncio.Event, model.TaskSpec]] = {}
        self._options: Mapping[str, Any] = {}
        self._waits = 0
        _note("made")

    async def configure(self, config: Mapping[str, Any], *, real: bool) -> None:
        self._options = config
        if config.get("state_dir") == "/refused":
            raise errors.ConfigError("state_dir: /refused is not writable")
        if real and config.get("log_dir"):
            log.attach_file(Path(config["log_dir"]))
        if config.get("child"):
            # With whatever descriptors and signal dispositions this process would leak to it.
            subprocess.Popen([sys.executable, "-c", CHILD])  # noqa: ASYNC220  # it is not waited for
        _note(f"configured real={real}")

    async def fingerprints(self) -> AsyncIterator[model.Fingerprint]:
        attributes = {"driver.fake": model.Attribute(True), "driver.fake.memory": model.Attribute(64, "MiB")}
        try:
            yield model.Fingerprint(model.Health.HEALTHY, "Healthy", attributes)
            if self._options.get("fingerprint") == "breaks":
                raise errors.UnavailableError("the disk is gone")
            await asyncio.Event().wait()
        finally:
            _note("fingerprints closed")

    async def start(self, spec: model.TaskSpec) -> model.StartedTask:
        log.get("fake").info("starting")
        await asyncio.sleep(spec.config.get("slow_s") or 0)
        failure = spec.config.get("fail")
        if failure:
            raise FAILURES[failure]
        self._tasks[spec.id] = (asyncio.Event(), spec)
        _note(f"started {spec.id}")
        handle = model.Handle(3, model.HandleState.RUNNING, b"state", None)
        return model.StartedTask(handle, model.DriverNetwork("10.0.0.9", True, {"http": 9999}))

    async def recover(self, handle: model.Handle) -> None:
        if handle.spec is None or handle.driver_state != b"state":
            raise errors.UnknownTaskError("none")
        self._tasks[handle.spec.id] = (asyncio.Event(), handle.spec)

    async def wait(self, task_id: str) -> model.ExitResult:
        stopped, spec = self._task(task_id)
        self._waits += 1
        if spec.config.get("hiccup") and self._waits == 1:
            raise errors.UnavailableError("the database is locked")
        if spec.config.get("runs"):
            await stopped.wait()
        return model.ExitResult(7, 9, True, "text")

    async def stop(self, task_id: str, *, timeout_s: float, signal: str) -> None:
        self._task(task_id)[0].set()
        _note(f"stop {task_id} {timeout_s} {signal}")

    async def destroy(self, task_id: str, *, force: bool) -> None:
        _note(f"destroy {task_id} {force}")

    async def inspect(self, task_id: str) -> model.TaskStatus:
        _, spec = self._task(task_id)
        counts = {name: str(count) for name, count in self._activity.counts.items()}
        alive = {"long_calls": str(self._activity.long_calls), "agent": str(self._activity.agent_alive)}
        return model.TaskStatus(
            id=task_id,
            name=spec.name,
            state=model.HandleState.RUNNING,
            started_at_ns=1_700_000_000_123_456_789,
            completed_at_ns=None,
            result=model.ExitResult(0),
            attributes=counts | alive,
        )

    async def signal(self, task_id: str, signal: str) -> None:
        self._task(task_id)
        _note(f"signal {task_id} {signal}")

    async def stats(self, task_id: str, interval_s: float) -> AsyncIterator[model.TaskUsage]:
        _, spec = self._task(task_id)
        try:
            if spec.config.get("fail_stats"):
                raise errors.UnsupportedError("no racct in this kernel")
            for sample in range(2):
                cpu = model.CpuUsage(1.5, 2.5, interval_s, 12.0)
                yield model.TaskUsage(sample, model.ResourceUsage(cpu, model.MemoryUsage(4096, swap_bytes=1)))
        finally:
            _note("stats closed")

    async def events(self) -> AsyncIterator[model.DriverTaskEvent]:
        try:
            yield model.DriverTaskEvent("id", "web", "alloc", 1_500_000_000, "hook ran", {"hook": "prestart"})
            await asyncio.Event().wait()
        finally:
            _note("events closed")

    async def exec(self, task_id: str, argv: tuple[str, ...], timeout_s: float) -> model.ExecOutcome:
        self._task(task_id)
        return model.ExecOutcome(" ".join(argv).encode(), str(timeout_s).encode(), model.ExitResult(4))

    async def exec_streaming(
        self, task_id: str, argv: tuple[str, ...], *, tty: bool, stream: ExecStream
    ) -> model.ExitResult:
        self._task(task_id)
        await stream.send("stderr", f"{argv} {tty}".encode())
        async for request in stream.requests():
            if "stdin_close" in request:
                break
            await asyncio.gather(*(stream.send("stdout", repr(request).encode()) for _ in range(2)))
        await stream.send("stdout", b"", close=True)
        return model.ExitResult(43)

    def _task(self, task_id: str) -> tuple[asyncio.Event, model.TaskSpec]:
        if task_id not in self._tasks:
            raise errors.UnknownTaskError(task_id)
        return self._tasks[task_id]


def _note(text: str) -> None:
    if path := os.environ.get("FAKE_NOTES"):
        with Path(path).open("a") as notes:
            notes.write(f"{text}\n")


def _schema() -> hclspec.Spec:
    return hclspec.Object(
        {"state_dir": hclspec.Default(hclspec.Attr("state_dir", "string"), hclspec.Literal('"/x"'))}
    )


if __name__ == "__main__":
    if "--noise" in sys.argv:
        sys.stdout.write("a stray line\n")
        sys.stdout.flush()
    shared = Activity()

    async def close() -> None:
        """What serve() allows one second for."""
        _note("closing")
        await asyncio.sleep(60 if "--hang" in sys.argv else 0)

    serve(lambda: FakeService(shared), About(_schema, _schema, exec=True), activity=shared, closing=close)
