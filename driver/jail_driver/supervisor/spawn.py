"""Fork, wait for permission, exec: a child runs nothing before its parent has written down who it is."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from jail_driver.supervisor import signals
from jail_driver.supervisor.loop import READ, Loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_NOT_RUN = 127


class Streams(NamedTuple):
    """Descriptors that become the child's standard ones, and the umask it runs with."""

    stdin: int
    stdout: int
    stderr: int
    umask: int


class Command(NamedTuple):
    """What to execute, as the kernel takes it.

    Attributes:
        argv: the program's absolute path first.
        env: the whole environment, nothing is added.
        cwd: working directory.
    """

    argv: list[bytes]
    env: dict[bytes, bytes]
    cwd: bytes


def command_from(order: dict[str, Any]) -> Command:
    """Turns text into what execve(2) takes: any bytes that surrogateescape text can carry.

    Raises:
        ValueError: a NUL, a lone surrogate that stands for no byte, a program that is not absolute,
            or a name that no environment can hold.
        KeyError, TypeError: not a command.
    """
    argv = [_bytes(word) for word in order["argv"]]
    if not argv or not argv[0].startswith(b"/"):
        raise ValueError("the program must be an absolute path")
    env = {_bytes(name): _bytes(value) for name, value in order["env"].items()}
    if any(not name or b"=" in name for name in env):
        raise ValueError("a name in the environment is empty or holds '='")
    return Command(argv, env, _bytes(order.get("cwd") or "/"))


def _bytes(text: str) -> bytes:
    """Encodes by a fixed rule: the locale of whoever started us must not matter."""
    raw = text.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise ValueError("a NUL cannot be passed to a program")
    return raw


class Child:
    """A forked process that waits at a gate before its exec.

    Args:
        loop: told when the exec has happened or failed.
        command: what to run.
        streams: standard descriptors.
        on_exec: called once, with None when the program runs, else with the reason why not.

    Raises:
        OSError: no process or no descriptors left; nothing was started.
    """

    def __init__(
        self, loop: Loop, command: Command, streams: Streams, on_exec: Callable[[str | None], None]
    ) -> None:
        self._loop = loop
        self._program = os.fsdecode(command.argv[0])
        self._on_exec: Callable[[str | None], None] | None = on_exec
        gate_read, self._gate = os.pipe()
        try:
            self._result, result_write = os.pipe()
        except OSError:
            os.close(gate_read)
            os.close(self._gate)
            raise
        self.pid = self._fork(command, streams, gate_read, result_write)
        os.set_blocking(self._result, False)
        loop.watch(self._result, READ, self.poll)

    def _fork(self, command: Command, streams: Streams, gate_read: int, result_write: int) -> int:
        # Blocked around the fork, so that no signal runs our handlers in the child.
        mask = signals.block()
        try:
            pid = os.fork()
            if pid == 0:
                os.close(self._gate)
                _become(command, streams, gate_read, result_write)
        except OSError:
            os.close(self._gate)
            os.close(self._result)
            raise
        finally:
            # Reached by the parent alone: the child executes or exits.
            os.close(gate_read)
            os.close(result_write)
            signals.restore(mask)
        return pid

    def release(self) -> None:
        """Opens the gate: the child goes on to its exec."""
        with contextlib.suppress(BrokenPipeError):  # Killed at the gate: its status tells.
            os.write(self._gate, b"g")
        os.close(self._gate)

    def refuse(self) -> None:
        """Closes the gate: the child ends without having run anything."""
        self.forget()
        os.close(self._gate)

    def forget(self) -> None:
        """Makes ``on_exec`` not be called any more."""
        if self._on_exec is not None:
            self._on_exec = None
            self._loop.unwatch(self._result)
            os.close(self._result)

    def poll(self) -> None:
        """Looks whether the exec has happened. Called by the loop, and when the child was reaped."""
        if self._on_exec is None:
            return
        try:
            answer = os.read(self._result, 64)
        except BlockingIOError:
            return
        self._loop.unwatch(self._result)
        os.close(self._result)
        on_exec, self._on_exec = self._on_exec, None
        on_exec(_sentence(self._program, answer) if answer else None)

    def kill_group(self) -> None:
        """Kills the child and its process group. Only before it is reaped: until then both ids are its own."""
        for kill in (os.killpg, os.kill):
            try:
                kill(self.pid, signals.KILL)
            except ProcessLookupError:
                continue


def _become(command: Command, streams: Streams, gate_read: int, result_write: int) -> NoReturn:
    """Runs in the child. Everything else that is open closes at the exec (O_CLOEXEC)."""
    stage = b"start"
    try:
        os.setsid()
        signals.forget_handlers()
        os.dup2(streams.stdin, 0)
        os.dup2(streams.stdout, 1)
        os.dup2(streams.stderr, 2)
        os.umask(streams.umask)
        if not os.read(gate_read, 1):
            os._exit(_NOT_RUN)
        stage = b"chdir"
        os.chdir(command.cwd)
        stage = b"exec"
        signals.unblock()
        os.execve(command.argv[0], command.argv, command.env)  # noqa: S606  # this is what we are for
    except OSError as error:
        os.write(result_write, b"%d %s" % (error.errno or errno.EIO, stage))
    except BaseException:  # noqa: BLE001  # silence would read as a successful exec
        os.write(result_write, b"%d %s" % (errno.EINVAL, stage))
    finally:
        os._exit(_NOT_RUN)


def _sentence(program: str, answer: bytes) -> str:
    number, _, stage = answer.partition(b" ")
    what = {b"chdir": "cannot change to its working directory", b"exec": "cannot be executed"}
    return f"{program} {what.get(stage, 'cannot be prepared')}: {os.strerror(int(number))}"
