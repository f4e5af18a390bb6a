"""Runs host commands and hooks: argument lists only, a built environment, bounded in time and output."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jail_driver.host import accounts
from jail_driver.host.capture import Capture, filled
from jail_driver.host.child import Child, Identity, Spec
from jail_driver.host.errors import HostError, MissingError
from jail_driver.host.inflight import InFlight, wait_in_flight
from jail_driver.supervisor import ending

__all__ = ["BASE_ENV", "CommandRunner", "Completed", "InFlight", "Runner", "wait_in_flight"]

BASE_ENV: Mapping[str, str] = {
    "PATH": "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
    "LC_ALL": "C.UTF-8",
}
"""For the jail tools: error texts in English, names in UTF-8. The agent's own environment holds tokens."""

_LOOK_S = 1.0
_DEATH_S = 5.0


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended.

    Args:
        argv: what was run.
        status: its exit status; None if a signal ended it, or if it could not be killed in time.
        signal: the number of the signal that ended it, as the kernel counts them.
        stdout: the end of what it printed.
        stderr: the end of its diagnostics.
        timed_out: its time was up and its process group was killed.
    """

    argv: tuple[str, ...]
    status: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether it exited with status 0 in its time."""
        return self.status == 0 and not self.timed_out

    @property
    def words(self) -> str:
        """What it said, else how it ended: one line for an error text."""
        said = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")
        ending = self.ending
        return f"{'; '.join(said.splitlines())} ({ending})" if said else ending

    @property
    def ending(self) -> str:
        """How it ended: ``failed with status 3``, ``was killed by SIGKILL``, ``timed out``."""
        if self.timed_out:
            return "timed out"
        if self.signal is not None:
            return f"was killed by {ending.name_of(self.signal)}"
        return f"failed with status {self.status}" if self.status else "succeeded"

    def check(self, what: str, error: Callable[[str, str], HostError] = HostError) -> Completed:
        """Returns itself if ok.

        Raises:
            HostError: (or what ``error`` makes) with ``what`` and the command's own words.
        """
        if self.ok:
            return self
        raise error(what, self.words)


class Runner(Protocol):
    """What the adapter needs of a ``CommandRunner``; see there."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        lock: Path | None = None,
        timeout_s: float | None = None,
        output_limit_bytes: int = 64 * 1024,
        kill_on_cancel: bool = False,
    ) -> Completed:
        """Runs a program to its end."""
        ...


class CommandRunner:
    """Runs programs of the host. One instance serves any number of tasks at once."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        lock: Path | None = None,
        timeout_s: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path = "/",
        user: str | None = None,
        stdin: bytes | None = None,
        output_limit_bytes: int = 64 * 1024,
        kill_on_cancel: bool = False,
    ) -> Completed:
        """Runs a program to its end; what it leaves in the background is not waited for.

        Args:
            argv: the program, by absolute path, and its arguments.
            lock: the lock file of this effect (see ``inflight``); the program inherits it.
            timeout_s: after this its process group is killed; None: it may take for ever.
            env: the whole environment; None: ``BASE_ENV``.
            cwd: its working directory.
            user: a user of the host by name, with the groups of that user; None: as we are.
            stdin: what it reads; None: nothing.
            output_limit_bytes: how much of the end of each stream is kept.
            kill_on_cancel: whether a cancelled caller takes the command with it. A command that
                changes the host is better left alone: its lock tells when it is through.

        Raises:
            MissingError: no such program, directory or user.
            BusyError: an earlier command of this effect still runs.
            HostError: it cannot be started.
        """
        if not argv or not Path(argv[0]).is_absolute():
            raise HostError(f"run {list(argv)[:1]}", "not an absolute path to a program")
        identity = _identity(user) if user is not None else Identity()
        with ExitStack() as opened:
            try:
                source = subprocess.DEVNULL
                if stdin is not None:
                    source = filled(stdin)
                    opened.callback(os.close, source)
                stdout = opened.enter_context(closing(Capture(output_limit_bytes)))
                stderr = opened.enter_context(closing(Capture(output_limit_bytes)))
                spec = Spec(
                    argv=tuple(argv),
                    env=BASE_ENV if env is None else env,
                    cwd=str(cwd),
                    stdin=source,
                    stdout=stdout.fd,
                    stderr=stderr.fd,
                    lock=lock,
                    identity=identity,
                )
                child = Child(spec, asyncio.get_running_loop())
                status, timed_out = await _watch(
                    child, (stdout, stderr), timeout_s, kill_on_cancel=kill_on_cancel
                )
                stdout.seal()
                stderr.seal()
                return _completed(tuple(argv), status, stdout.tail(), stderr.tail(), timed_out=timed_out)
            except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
                # RuntimeError: no thread can be had, which is how Python says that there are no processes left.
                raise _not_started(argv[0], error) from error


def _completed(
    argv: tuple[str, ...], status: int | None, stdout: bytes, stderr: bytes, *, timed_out: bool
) -> Completed:
    by_signal = status is not None and status < 0
    return Completed(
        argv=argv,
        status=None if by_signal else status,
        signal=-status if status is not None and by_signal else None,
        stdout=stdout,
        stderr=stderr,
        timed_out=timed_out,
    )


async def _watch(
    child: Child, captures: Sequence[Capture], timeout_s: float | None, *, kill_on_cancel: bool
) -> tuple[int | None, bool]:
    loop = asyncio.get_running_loop()
    deadline_s = None if timeout_s is None else loop.time() + timeout_s
    try:
        while not child.ended.done():
            left_s = _LOOK_S if deadline_s is None else deadline_s - loop.time()
            if left_s <= 0:
                child.kill_group()
                await asyncio.wait({child.ended}, timeout=_DEATH_S)
                return (child.ended.result() if child.ended.done() else None), True
            await asyncio.wait({child.ended}, timeout=min(left_s, _LOOK_S))
            for capture in captures:
                capture.trim()
    except asyncio.CancelledError:
        if kill_on_cancel:
            child.kill_group()
        raise
    return child.ended.result(), False


def _identity(user: str) -> Identity:
    account = accounts.find(user)
    if account is None:
        raise MissingError(f"run as {user}", "no such user on the host")
    if account.uid == os.geteuid():
        return Identity()
    return Identity(user=account.uid, group=account.gid, extra_groups=accounts.groups(account))


def _not_started(program: str, error: Exception) -> HostError:
    if not isinstance(error, OSError):
        return HostError(program, str(error))
    what = program if error.filename in {None, program} else f"{program} in {error.filename}"
    kind = MissingError if error.errno in {errno.ENOENT, errno.ENOTDIR} else HostError
    return kind(what, os.strerror(error.errno or 0))
