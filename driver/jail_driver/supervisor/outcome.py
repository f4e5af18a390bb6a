"""How processes ended, as the records say it. Pure."""

from __future__ import annotations

import os
from typing import Any

from jail_driver.supervisor import ending
from jail_driver.supervisor.files import VERSION


def decode(status: int, at_ns: int, code: int = os.CLD_KILLED) -> dict[str, Any]:
    """Translates a wait(2) status.

    Args:
        status: from waitpid(2).
        at_ns: when it was reaped, UTC, nanoseconds since the epoch.
        code: si_code of waitid(2), for the signals that a status cannot tell.

    Returns:
        ``exit_code`` (0 too if a signal ended it), ``signal`` (0 if none did), ``core_dumped``, ``ended_at_ns``.

    >>> decode(7 << 8, 1)
    {'exit_code': 7, 'signal': 0, 'core_dumped': False, 'ended_at_ns': 1}
    >>> decode(139, 1)
    {'exit_code': 0, 'signal': 11, 'core_dumped': True, 'ended_at_ns': 1}
    """
    signal = ending.signal_of(status, code)
    return {
        "exit_code": 0 if signal else os.WEXITSTATUS(status),
        "signal": signal,
        "core_dumped": status > 0 and os.WCOREDUMP(status),
        "ended_at_ns": at_ns,
    }


def is_success(outcome: dict[str, Any]) -> bool:
    """Tells whether a process ended by itself with status 0."""
    return (outcome["exit_code"], outcome["signal"]) == (0, 0)


def describe(outcome: dict[str, Any]) -> str:
    """Says how a process ended.

    >>> describe(decode(7 << 8, 1)), describe(decode(9, 1))
    ('failed with status 7', 'was killed by SIGKILL')
    """
    if not outcome["signal"]:
        return f"failed with status {outcome['exit_code']}"
    return f"was killed by {ending.name_of(outcome['signal'])}"


def failure(
    step: int | None, reason: str, error: str, outcome: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Says why a start failed.

    Args:
        step: index of the command, setup commands first, then main; None if it was none of them.
        reason: ``exec``, ``exit``, ``timeout``, ``log``, ``record`` or ``order``.
        error: one sentence for people.
        outcome: how the command ended, if it ran and ended.
    """
    is_exit = outcome is not None and not outcome["signal"]
    return {
        "step": step,
        "reason": reason,
        "error": error,
        "exit_code": outcome["exit_code"] if outcome is not None and is_exit else None,
        "signal": outcome["signal"] if outcome is not None else 0,
    }


def exit_record(
    outcome: dict[str, Any], main_pid: int | None, *, failed: dict[str, Any] | None, all_gone: bool
) -> dict[str, Any]:
    """Builds the content of exit.json.

    Args:
        outcome: main's, as ``decode`` gives it.
        main_pid: main's process id, None if it never ran.
        failed: why the start failed, None if it did not.
        all_gone: whether main and all descendants are gone.
    """
    return {"version": VERSION, **outcome, "main_pid": main_pid, "failure": failed, "all_gone": all_gone}
