"""One child process: spawned, waited for and killed without racing against its own end.

No pidfd (FreeBSD's Linux ABI has none), no SIGCHLD handler and no preexec_fn (gRPC has threads): a
thread per child blocks in waitid(2). It uses WNOWAIT, so that the pid stays taken until the lock is held
that ``kill_group`` takes as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from jail_driver.host import inflight
from jail_driver.host.errors import HostError
from jail_driver.supervisor import ending


class Identity(TypedDict, total=False):
    """Whose rights the child gets, in ``subprocess``'s words; empty: ours."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Spec:
    """What to start: everything is explicit, nothing is inherited but the named descriptors."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    stdin: int
    stdout: int
    stderr: int
    lock: Path | None = None
    identity: Identity = field(default_factory=Identity)
    session: bool = False
    """Whether it leads a session of its own, not only a process group: what a terminal belongs to."""


class Child:
    """A child in its own process group.

    Args:
        spec: what to start.
        loop: where ``ended`` is resolved.

    Attributes:
        ended: the exit status, negative for a signal as in ``subprocess``; or the exception that kept
            the child from starting (OSError, HostError).
    """

    def __init__(self, spec: Spec, loop: asyncio.AbstractEventLoop) -> None:
        self._spec = spec
        self._loop = loop
        self._mutex = threading.Lock()
        self._pid: int | None = None
        self._unwanted = False
        # Copies of our own: a caller that is cancelled closes its descriptors before the thread needs them.
        self._streams = [os.dup(fd) if fd >= 0 else fd for fd in (spec.stdin, spec.stdout, spec.stderr)]
        self.ended: asyncio.Future[int] = loop.create_future()
        # Nobody may be left to ask how it ended; that is no reason for a warning.
        self.ended.add_done_callback(lambda future: future.cancelled() or future.exception())
        # A daemon thread: a command in flight does not keep the plugin from exiting.
        threading.Thread(target=self._work, name=f"wait {spec.argv[0]}", daemon=True).start()

    def kill_group(self, number: int = signal.SIGKILL) -> None:
        """Signals the process group, by default with the end; a child that has not begun yet will not."""
        with self._mutex:
            self._unwanted = True
            if self._pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._pid, number)

    def _work(self) -> None:
        try:
            status = self._spawn_and_wait()
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the waiting caller
            self._tell(self._fail, error)
        else:
            self._tell(self._succeed, status)

    def _spawn_and_wait(self) -> int:
        lock = self._spec.lock
        lock_fd = None
        try:
            lock_fd = inflight.acquire(lock) if lock else None
            if lock_fd is not None:
                inflight.begin(lock_fd)
            process = self._spawn(lock_fd)
            if lock_fd is not None:
                inflight.record(lock_fd, process.pid)
        finally:
            for fd in (*self._streams, lock_fd):
                if fd is not None and fd >= 0:
                    os.close(fd)
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._mutex:
            self._pid = None
            _, status = os.waitpid(process.pid, 0)
            signalled = ending.signal_of(status, ended.si_code if ended is not None else os.CLD_EXITED)
            process.returncode = -signalled if signalled else os.WEXITSTATUS(status)
            return process.returncode

    def _spawn(self, lock_fd: int | None) -> subprocess.Popen[bytes]:
        with self._mutex:
            if self._unwanted:
                raise HostError(self._spec.argv[0], "its time was up before it could be started")
            stdin, stdout, stderr = self._streams
            process = subprocess.Popen(
                list(self._spec.argv),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=dict(self._spec.env),
                cwd=self._spec.cwd,
                pass_fds=() if lock_fd is None else (lock_fd,),
                process_group=None if self._spec.session else 0,
                start_new_session=self._spec.session,
                **self._spec.identity,
            )
            self._pid = process.pid
            return process

    def _tell(self, report: Callable[..., None], value: object) -> None:
        # A closed loop means that the plugin is going away: nobody asks any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(report, value)

    def _succeed(self, status: int) -> None:
        if not self.ended.done():
            self.ended.set_result(status)

    def _fail(self, error: BaseException) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)
