"""A command with its streams connected: pipes, or a terminal of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

from jail_driver.host import leader
from jail_driver.host.child import Child, Spec
from jail_driver.host.streams import Reader, Writer
from jail_driver.supervisor import procid

_HANGUP_S = 2.0
_END_OF_INPUT = b"\x04"
"""VEOF of a terminal that nobody has reconfigured (termios(4))."""


def led(argv: Sequence[str], env: Mapping[str, str], record: Path, *, tty: bool) -> list[str]:
    """Returns the argument list that runs a command with its record written first (``host.leader``)."""
    flags = ("1" if tty else "0", "1" if "LC_CTYPE" in env else "0")
    return [sys.executable, "-I", "-S", leader.__file__, str(record), *flags, *argv]


def end_orphan(record: Path) -> bool:
    """Kills the command that a plugin left behind when it was killed, and removes the record.

    Only if pid and start time are still those of the record. A boot in between is the caller's to notice.

    Returns:
        Whether there was one.
    """
    killed = False
    try:
        pid, ticks = (int(word) for word in record.read_text().split())
    except (OSError, ValueError):
        pid = ticks = 0  # killed before it wrote: it never ran anything
    living = procid.process_id(pid, "") if pid else None
    if living is not None and procid.same_process(living, procid.ProcessId(pid, ticks, "")):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
            killed = True
    record.unlink(missing_ok=True)
    return killed


class Session:
    """One running command.

    Args:
        argv: the program by absolute path, and its arguments.
        env: the whole environment.
        record: a path in an existing directory, where the command notes who it is.
        tty: whether it gets a terminal; then stdout carries both outputs.

    Attributes:
        stdin: what the command reads.
        stdout: what it prints.
        stderr: its diagnostics; None with a terminal.

    Raises:
        OSError: no descriptors or no terminals left, or no such device.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], record: Path, *, tty: bool) -> None:
        self._record = record
        self._master = -1
        self.stderr: Reader | None = None
        theirs = self._open_terminal() if tty else self._open_pipes()
        try:
            spec = Spec(led(argv, env, record, tty=tty), env, "/", *theirs, session=True)
            self._child = Child(spec, asyncio.get_running_loop())
        except BaseException:
            self._close_streams()
            raise
        finally:
            for fd in set(theirs):
                os.close(fd)

    def _open_terminal(self) -> tuple[int, int, int]:
        try:
            self._master, slave = os.openpty()
        except FileNotFoundError as error:  # what a Linux program on FreeBSD opens is the device of pty(4)
            raise OSError(error.errno, "no terminal: /dev/ptmx is missing (kldload pty)") from error
        # Two descriptors, because one cannot be watched for reading and writing by two waiters.
        self.stdin, self.stdout = Writer(self._master), Reader(os.dup(self._master))
        return slave, slave, slave

    def _open_pipes(self) -> tuple[int, int, int]:
        ends: list[int] = []
        try:
            for _ in range(3):
                ends += os.pipe()
        except OSError:
            for fd in ends:
                os.close(fd)
            raise
        self.stdin, self.stdout, self.stderr = Writer(ends[1]), Reader(ends[2]), Reader(ends[4])
        return ends[0], ends[3], ends[5]

    @property
    def has_ended(self) -> bool:
        """Whether the command itself has ended; what it left in the background does not count."""
        return self._child.ended.done()

    async def wait(self) -> int:
        """Returns its exit status, negative for a signal as in ``subprocess``.

        Raises:
            OSError, HostError: it could not be started.
        """
        await asyncio.wait({self._child.ended})
        return self._child.ended.result()

    def end_input(self) -> None:
        """Lets the command see the end of its input; a terminal is told so and stays open."""
        if self._master < 0:
            self.stdin.close()
        else:
            with contextlib.suppress(OSError):
                os.write(self._master, _END_OF_INPUT)

    def resize(self, height: int, width: int) -> None:
        """Sets the terminal's size, characters; the kernel tells the command (SIGWINCH)."""
        if self._master >= 0:
            size = struct.pack("HHHH", min(height, 0xFFFF), min(width, 0xFFFF), 0, 0)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    async def end(self) -> None:
        """Ends the command if it still runs, as a terminal that is hung up does; then by force."""
        self._close_streams()
        if not self._child.ended.done():
            self._child.kill_group(signal.SIGHUP)
            await asyncio.wait({self._child.ended}, timeout=_HANGUP_S)
        if not self._child.ended.done():
            self._child.kill_group()
            await asyncio.wait({self._child.ended}, timeout=_HANGUP_S)
        self._record.unlink(missing_ok=True)

    def _close_streams(self) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self._master = -1
