"""What a running supervisor says of its task, as the plugin reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jail_driver.supervisor import records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jail_driver.supervisor.records import ExitRecord, MainEnd, StartFailure


@dataclass(frozen=True, slots=True)
class Status:
    """A supervisor's answer. Ends stand in it once they are durable.

    Attributes:
        pid: the supervisor's own.
        phase: ``waiting``, ``setup``, ``starting``, ``running``, ``start_failed`` or ``finished``.
        main_pid: None if main was not started.
        main_started_ticks: hundredths of a second since boot.
        main_exit: how main ended, if it ended with status 0 and the task lives on.
        exit: the end of the task; None while it lives, and if the start failed.
        failure: why the start failed.
        all_gone: whether main and all descendants are gone.
        persist: whether the task is held until ``end``.
        record_error: why a record is not durable yet, such as a full disk; None if all is well.
    """

    pid: int
    phase: str
    main_pid: int | None
    main_started_ticks: int | None
    main_exit: MainEnd | None
    exit: ExitRecord | None
    failure: StartFailure | None
    all_gone: bool
    persist: bool
    record_error: str | None

    @property
    def started(self) -> bool:
        """Whether the order was carried out: main ran, or there is none to run."""
        return self.phase in {"running", "finished"} and self.failure is None

    @property
    def start_failed(self) -> str:
        """Why the order failed, one sentence; empty if it did not."""
        return "" if self.failure is None else self.failure.error

    @property
    def exited(self) -> MainEnd | ExitRecord | None:
        """How main ended; None while it lives or never ran."""
        return self.main_exit or self.exit


def status_from(reply: Mapping[str, Any]) -> Status:
    """Reads an answer of this version or an older one."""
    ended = reply["exit"]
    return Status(
        pid=int(reply["pid"]),
        phase=str(reply["phase"]),
        main_pid=reply["main_pid"],
        main_started_ticks=reply["main_started_ticks"],
        main_exit=None if reply["main_exit"] is None else records.main_end_from(reply["main_exit"]),
        exit=None if ended is None else records.exit_from(ended),
        failure=None if reply["failure"] is None else records.failure_from(reply["failure"]),
        all_gone=bool(reply["all_gone"]),
        persist=bool(reply["persist"]),
        record_error=reply["record_error"],
    )
