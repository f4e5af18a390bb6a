"""The supervised task, from the order to the end of its last descendant.

Phases: ``waiting`` (for the order), ``setup``, ``starting`` (main is forked, not yet executed), ``running``,
``start_failed``, ``finished``. Each fact is durable before anyone is told.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from jail_driver.supervisor import files, outcome, procid
from jail_driver.supervisor.recorder import Recorder
from jail_driver.supervisor.start import Start

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from jail_driver.supervisor.loop import Loop

_DONE = {"exit_code": 0, "signal": 0, "core_dumped": False}
_NEVER_RAN = {"exit_code": 0, "signal": 0, "core_dumped": False}


class Task:
    """Runs one order to its end.

    Args:
        loop: calls back.
        directory: takes the records.
        identity: content of identity.json; main is added to it.
        umask: the commands'.
        report: answers the order: ``started`` or ``start_failed``.
        publish: tells the watchers.
    """

    def __init__(
        self,
        loop: Loop,
        directory: files.Directory,
        identity: dict[str, Any],
        umask: int,
        report: Callable[..., None],
        publish: Callable[[dict[str, Any]], None],
    ) -> None:
        self._directory = directory
        self._identity = identity
        self._report = report
        self._publish = publish
        self._start = Start(loop, umask, self._record_main, self._on_started, self._on_failed)
        self._identity_file = Recorder(loop, directory, files.IDENTITY)
        self._exit_file = Recorder(loop, directory, files.EXIT)
        self._is_persistent = False
        self._is_released = False
        self._environment: dict[str, str] | None = None
        self._main_pid: int | None = None
        self._main_ended: dict[str, Any] | None = None
        self._noted: dict[str, Any] | None = None
        self._failure: dict[str, Any] | None = None
        self._is_reported = False
        self._ended: dict[str, Any] | None = None
        self._wanted: dict[str, Any] | None = None
        self._recorded: dict[str, Any] | None = None
        self._phase = "waiting"

    @property
    def phase(self) -> str:
        """Where the task stands, see the module."""
        return self._start.phase if self._phase == "starting" else self._phase

    def start(self, order: dict[str, Any]) -> None:
        """Carries out an order."""
        self._phase = "starting"
        self._is_persistent = bool(order.get("persist"))
        self._environment = order.get("environment")
        self._start.run(order)

    # --- what the socket asks

    def status(self) -> dict[str, Any]:
        """Says what is going on; an end only once its record is durable."""
        main = self._identity["main"] or {"pid": None, "started_ticks": None}
        return {
            "pid": self._identity["pid"],
            "phase": self.phase,
            "main_pid": main["pid"],
            "main_started_ticks": main["started_ticks"],
            "main_exit": self._noted,
            "exit": self._recorded,
            "failure": self._failure,
            "all_gone": bool(self._recorded and self._recorded["all_gone"]),
            "persist": self._is_persistent,
            "record_error": self._exit_file.error or self._identity_file.error,
        }

    def news(self) -> list[dict[str, Any]]:
        """Says what a watcher that comes now has missed."""
        noted = [{"event": "main_exit", "main_exit": self._noted}] if self._noted else []
        ended = [{"event": "exit", "exit": self._recorded}] if self._recorded else []
        return noted + ended

    def signal_main(self, name: str) -> str | None:
        """Sends a signal to main, and to nobody else: unreaped, its pid cannot be another's.

        Args:
            name: such as ``SIGHUP`` or ``HUP``.

        Returns:
            Why it was not sent; None if it was.
        """
        full = name if name.startswith("SIG") else f"SIG{name}"
        if full not in signal.Signals.__members__:
            return f"unknown signal {name!r}"
        if self._main_pid is None:
            return "main does not run: it was not started"
        if self._main_ended is not None:
            return f"main (pid {self._main_pid}) has already ended"
        try:
            os.kill(self._main_pid, signal.Signals[full])
        except OSError as error:
            return f"cannot send {full} to main (pid {self._main_pid}): {error.strerror}"
        return None

    def environment(self) -> dict[str, str] | None:
        """Gives back what the order named: a later plugin runs commands beside main with it."""
        return self._environment

    def end(self) -> None:
        """No longer holds a persistent task, nor waits for what a failed start left behind."""
        self._is_persistent = False
        self._is_released = True

    # --- the start's call-backs

    def _record_main(self, pid: int) -> None:
        born = procid.newborn_id(pid, self._identity["boot_id"])
        main = {"pid": born.pid, "started_ticks": born.started_ticks, "exit": None}
        self._directory.write(files.IDENTITY, {**self._identity, "main": main})
        self._identity["main"] = main

    def _on_started(self, main_pid: int | None) -> None:
        self._phase = "running"
        self._main_pid = main_pid
        self._report("started", main=self._identity["main"])

    def _on_failed(self, failure: dict[str, Any]) -> None:
        self._phase = "start_failed"
        self._identity["main"] = None
        self._failure = failure
        self._ended = {**_NEVER_RAN, "ended_at_ns": time.time_ns()}

    # --- the end

    def reaped(self, pid: int, status: int, code: int) -> None:
        """Takes the wait status of a child, ours or adopted, and the si_code that came with it."""
        ended = outcome.decode(status, time.time_ns(), code)
        self._start.reaped(pid, ended)
        if pid == self._main_pid and self._main_ended is None:
            self._main_ended = ended
            if not outcome.is_success(ended):
                self._ended = ended

    def settle(self, *, childless: bool) -> bool:
        """Draws the consequences after each wake-up.

        Args:
            childless: wait(2) says that no child is left; as their reaper we have no descendant then.

        Returns:
            True when the supervisor has nothing left to do.
        """
        if self._phase in {"running", "start_failed"}:
            self._settle_end(childless=childless)
        if self._failure is not None and not self._is_reported:
            # After the record, or after the disk refused it: without one, main is seen never to have run.
            self._is_reported = True
            self._report("start_failed", **self._failure)
        return self._phase == "finished"

    def _settle_end(self, *, childless: bool) -> None:
        if self._ended is None and childless and not self._is_persistent:
            self._ended = {**(self._main_ended or _DONE), "ended_at_ns": time.time_ns()}
        if self._ended is None:
            self._note_main()
        elif self._wanted is None or self._wanted["all_gone"] != childless:
            self._wanted = outcome.exit_record(
                self._ended, self._main_pid, failed=self._failure, all_gone=childless
            )
            self._exit_file.put(self._wanted, self._on_recorded)
        if self._failure is not None and self._is_released and self._recorded is not None:
            self._finish()

    def _note_main(self) -> None:
        """Main has ended well and the task lives on: the next plugin must still learn how."""
        main = self._identity["main"]
        if self._main_ended is None or main["exit"] is not None:
            return
        main["exit"] = self._main_ended
        self._identity_file.put(self._identity, self._on_noted)

    def _on_noted(self) -> None:
        self._noted = self._main_ended
        self._publish({"event": "main_exit", "main_exit": self._noted})

    def _on_recorded(self) -> None:
        is_first = self._recorded is None
        self._recorded = self._wanted
        if is_first:
            self._publish({"event": "exit", "exit": self._recorded})
        if self._recorded is None or not self._recorded["all_gone"]:
            return
        if self._start.logs is None:
            self._finish()
        else:
            self._start.logs.drain(self._finish)

    def _finish(self) -> None:
        if self._phase == "finished":
            return
        self._phase = "finished"
        if self._recorded is not None and self._recorded["all_gone"]:
            self._publish({"event": "gone", "exit": self._recorded})
        if self._start.logs is not None:
            self._start.logs.close()
