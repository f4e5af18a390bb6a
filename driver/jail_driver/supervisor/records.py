"""What a supervisor left on disk, read by the plugin: also after both have died."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from jail_driver.supervisor import files
from jail_driver.supervisor.errors import RecordError
from jail_driver.supervisor.procid import ProcessId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class MainEnd:
    """How main ended.

    Attributes:
        exit_code: 0 too if a signal ended it.
        signal: that signal's number as the kernel counts them, 0 if none did; ``ending.UNTOLD``.
        core_dumped: whether a core file was written.
        ended_at_ns: UTC, nanoseconds since the epoch.
    """

    exit_code: int
    signal: int
    core_dumped: bool
    ended_at_ns: int


@dataclass(frozen=True, slots=True)
class StartFailure:
    """Why an order failed; the fields are those of ``SupervisorStartError``."""

    step: int | None
    reason: str
    error: str
    exit_code: int | None
    signal: int


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """The end of a task that was started.

    Attributes:
        exit_code: main's; 0 too if a signal ended it, or if there was no main.
        signal: number of the signal that ended main, 0 if none did.
        core_dumped: whether main wrote a core file.
        ended_at_ns: UTC, nanoseconds since the epoch: of main if it failed, else of the last descendant.
        main_pid: None if there was none.
        all_gone: whether main and all descendants are gone.
    """

    exit_code: int
    signal: int
    core_dumped: bool
    ended_at_ns: int
    main_pid: int | None
    all_gone: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """Who serves a task.

    Attributes:
        supervisor: the process that wrote the record.
        main: the task's main process, written down before it was executed.
        main_exit: how main ended, if it ended with status 0 and the task lived on.
    """

    supervisor: ProcessId
    main: ProcessId | None
    main_exit: MainEnd | None


def alive(sup_dir: Path) -> bool:
    """Tells whether a supervisor lives: by its lock, which the kernel drops with the process.

    Args:
        sup_dir: the task's ``sup`` directory; it may be missing.

    Raises:
        OSError: the lock cannot be asked (other than being missing).
    """
    try:
        fd = os.open(sup_dir / files.LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who ask at once do not take each other for a supervisor.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def read_identity(sup_dir: Path) -> Identity | None:
    """Reads identity.json; None if there never was a supervisor, or if it was aborted before its order.

    Raises:
        RecordError: the record is damaged or newer than this program.
    """
    return _read(sup_dir, files.IDENTITY, identity_from)


def read_exit(sup_dir: Path) -> ExitRecord | None:
    """Reads how a task ended; None if no end is recorded, or if its start failed (``read_failure``).

    Raises:
        RecordError: the record is damaged or newer than this program.
    """
    return _read(sup_dir, files.EXIT, exit_from)


def read_end(sup_dir: Path) -> ExitRecord | MainEnd | None:
    """Reads how main ended as far as a supervisor that is gone has told.

    A supervisor that was killed while it waited for descendants has noted main's own end; the task's end
    it could not.

    Raises:
        RecordError: a record is damaged or newer than this program.
    """
    identity = read_identity(sup_dir)
    return read_exit(sup_dir) or (None if identity is None else identity.main_exit)


def read_failure(sup_dir: Path) -> StartFailure | None:
    """Reads why a start failed; None if no failure is recorded.

    Raises:
        RecordError: the record is damaged or newer than this program.
    """
    record = _read(sup_dir, files.EXIT, lambda content: content)
    return None if record is None or record["failure"] is None else failure_from(record["failure"])


def identity_from(content: Mapping[str, Any]) -> Identity:
    """Reads the content of identity.json, of this version or an older one."""
    boot_id = str(content["boot_id"])
    main = content["main"]
    return Identity(
        supervisor=ProcessId(int(content["pid"]), int(content["started_ticks"]), boot_id),
        main=None if main is None else ProcessId(int(main["pid"]), int(main["started_ticks"]), boot_id),
        main_exit=None if main is None or main["exit"] is None else main_end_from(main["exit"]),
    )


def main_end_from(content: Mapping[str, Any]) -> MainEnd:
    """Reads how main ended."""
    return MainEnd(
        exit_code=int(content["exit_code"]),
        signal=int(content["signal"]),
        core_dumped=bool(content["core_dumped"]),
        ended_at_ns=int(content["ended_at_ns"]),
    )


def exit_from(content: Mapping[str, Any]) -> ExitRecord | None:
    """Reads the content of exit.json, of this version or an older one; None for a failed start."""
    if content["failure"] is not None:
        return None
    return ExitRecord(
        exit_code=int(content["exit_code"]),
        signal=int(content["signal"]),
        core_dumped=bool(content["core_dumped"]),
        ended_at_ns=int(content["ended_at_ns"]),
        main_pid=content["main_pid"],
        all_gone=bool(content["all_gone"]),
    )


def failure_from(content: Mapping[str, Any]) -> StartFailure:
    """Reads why a start failed."""
    return StartFailure(
        step=content["step"],
        reason=str(content["reason"]),
        error=str(content["error"]),
        exit_code=content["exit_code"],
        signal=int(content["signal"]),
    )


def check_version(content: Mapping[str, Any], where: str) -> None:
    """Refuses what a newer version of this program wrote, instead of guessing.

    Raises:
        RecordError: newer, or without a version.
    """
    version = content.get("version")
    if not isinstance(version, int) or not 1 <= version <= files.VERSION:
        raise RecordError(f"{where} has version {version!r}, this program reads 1 to {files.VERSION}")


def _read(sup_dir: Path, name: str, parse: Callable[[Mapping[str, Any]], _T | None]) -> _T | None:
    path = sup_dir / name
    try:
        content = json.loads(path.read_bytes())
        check_version(content, str(path))
        return parse(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordError(f"cannot read {path}: {error!r}") from error
