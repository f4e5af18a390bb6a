"""Carries out an order: opens the logs, runs the setup commands one by one, starts main."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from jail_driver.supervisor import outcome, spawn
from jail_driver.supervisor.logs import LogError, Logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from jail_driver.supervisor.loop import Loop, Timer


class Setup(NamedTuple):
    """One command before main.

    Attributes:
        name: what errors call it.
        command: what to run.
        timeout_s: seconds until its process group is killed; None is never.
    """

    name: str
    command: spawn.Command
    timeout_s: float | None


class Start:
    """The way from the order to a running main, or to one reason why not.

    Args:
        loop: calls back.
        umask: the commands'.
        record_main: stores main's identity durably while it waits at its gate; an OSError fails the start.
        on_started: called once when main runs, with its pid; None if the order has no main.
        on_failed: called once, instead, with ``outcome.failure``.
    """

    def __init__(
        self,
        loop: Loop,
        umask: int,
        record_main: Callable[[int], None],
        on_started: Callable[[int | None], None],
        on_failed: Callable[[dict[str, Any]], None],
    ) -> None:
        self._loop = loop
        self._umask = umask
        self._record_main = record_main
        self._on_started = on_started
        self._on_failed = on_failed
        self._setup: list[Setup] = []
        self._main: spawn.Command | None = None
        self._step = 0
        self._child: spawn.Child | None = None
        self._deadline: Timer | None = None
        self.logs: Logs | None = None
        self.phase = "setup"
        """``setup``, ``starting`` (main is forked and not yet executed), ``over``."""

    def run(self, order: dict[str, Any]) -> None:
        """Begins. Calls back exactly once, now or later."""
        try:
            self._read(order)
            self.logs = Logs(self._loop, order["stdout"], order["stderr"], order["consolelog"])
        except LogError as error:
            self._fail(None, "log", str(error))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._fail(self._step, "order", f"the order cannot be carried out: {error}")
        except OSError as error:
            self._fail(None, "log", f"cannot open the logs: {error.strerror}")
        else:
            self._step = 0
            self._go_on()

    def _read(self, order: dict[str, Any]) -> None:
        """Takes the order apart as a whole before anything of it is run; ``_step`` counts along."""
        for command in order["setup"]:
            timeout_s = command.get("timeout_s")
            name = str(command.get("text") or f"start command {self._step + 1}")
            limit_s = None if timeout_s is None else float(timeout_s)
            self._setup.append(Setup(name, spawn.command_from(command), limit_s))
            self._step += 1
        if order["main"] is not None:
            self._main = spawn.command_from(order["main"])

    def reaped(self, pid: int, ended: dict[str, Any]) -> None:
        """Takes the end of a child, which may be the current setup command's."""
        child = self._child
        if child is None or pid != child.pid:
            return
        # Whether it was executed is known by now, and comes first.
        child.poll()
        if self._child is not child or self.phase != "setup":
            return
        self._disarm()
        if outcome.is_success(ended):
            self._child = None
            self._step += 1
            self._go_on()
        else:
            self._fail(self._step, "exit", f"{self._name()} {outcome.describe(ended)}", ended)

    def _go_on(self) -> None:
        if self._step < len(self._setup):
            self._run_setup(self._setup[self._step])
        elif self._main is None:
            self._succeed(None)
        else:
            self.phase = "starting"
            self._run_main(self._main)

    def _run_setup(self, setup: Setup) -> None:
        child = self._fork(setup.command, self._on_setup_exec)
        if child is None:
            return
        child.release()
        if setup.timeout_s is not None:
            self._deadline = self._loop.later(setup.timeout_s, self._on_timeout)

    def _run_main(self, command: spawn.Command) -> None:
        child = self._fork(command, self._on_main_exec)
        if child is None:
            return
        try:
            self._record_main(child.pid)
        except OSError as error:
            child.refuse()
            self._fail(
                self._step, "record", f"main was not started: its record cannot be written: {error.strerror}"
            )
        else:
            child.release()

    def _fork(self, command: spawn.Command, on_exec: Callable[[str | None], None]) -> spawn.Child | None:
        """Forks a command that waits at its gate; None, and the start has failed, if that cannot be."""
        assert self.logs is not None  # noqa: S101  # opened before the first step
        try:
            null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            try:
                streams = spawn.Streams(null, *self.logs.child_ends, self._umask)
                self._child = spawn.Child(self._loop, command, streams, on_exec)
            finally:
                os.close(null)
        except OSError as error:
            self._fail(self._step, "exec", f"{self._name()} cannot be run: no process: {error.strerror}")
        return self._child

    def _on_setup_exec(self, error: str | None) -> None:
        if error is not None:
            self._fail(self._step, "exec", error)

    def _on_main_exec(self, error: str | None) -> None:
        if error is not None:
            self._fail(self._step, "exec", error)
            return
        assert self._child is not None  # noqa: S101  # it is the one that calls
        self._succeed(self._child.pid)

    def _on_timeout(self) -> None:
        assert self._child is not None  # noqa: S101  # the timer ends with the child
        self._child.kill_group()
        limit_s = self._setup[self._step].timeout_s
        self._fail(self._step, "timeout", f"{self._name()} was killed after {limit_s:g} s, its time-out")

    def _succeed(self, main_pid: int | None) -> None:
        self._close()
        self._on_started(main_pid)

    def _fail(self, step: int | None, reason: str, error: str, ended: dict[str, Any] | None = None) -> None:
        if self.phase == "over":
            return
        self._close()
        self._on_failed(outcome.failure(step, reason, error, ended))

    def _close(self) -> None:
        self.phase = "over"
        self._disarm()
        if self._child is not None:
            self._child.forget()
            self._child = None
        # The order holds the task's secrets, and perhaps a megabyte of them.
        self._setup, self._main = [], None
        if self.logs is not None:
            self.logs.close_child_ends()

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _name(self) -> str:
        return self._setup[self._step].name if self._step < len(self._setup) else "main"
