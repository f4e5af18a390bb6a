"""Who a process is: its pid, when it started since boot, and which boot that was.

A bare pid is reused; a start time on the wall clock moves when the clock is stepped. Start times are
therefore counted from boot, in hundredths of a second, and compared with two seconds of slack, because
ps(1) knows whole seconds only.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

TICKS_PER_S = 100
SLACK_TICKS = 2 * TICKS_PER_S

# Fields of /proc/PID/stat after the command's closing parenthesis begin with the third one.
_STARTTIME = 22 - 3
_STAT_BYTES = 4096


class ProcessId(NamedTuple):
    """One process of one boot.

    Attributes:
        pid: process id, as the host sees it.
        started_ticks: start time in hundredths of a second since boot.
        boot_id: opaque name of the boot, see ``jail_driver.supervisor.boot``.
    """

    pid: int
    started_ticks: int
    boot_id: str


def same_process(one: ProcessId, other: ProcessId) -> bool:
    """Tells whether two observations are of one process: same pid, same boot, start within 2 s.

    >>> same_process(ProcessId(7, 1000, "a"), ProcessId(7, 1150, "a"))
    True
    >>> same_process(ProcessId(7, 1000, "a"), ProcessId(7, 1201, "a"))
    False
    >>> same_process(ProcessId(7, 1000, "a"), ProcessId(7, 1000, "b"))
    False
    """
    return (
        one.pid == other.pid
        and one.boot_id == other.boot_id
        and abs(one.started_ticks - other.started_ticks) <= SLACK_TICKS
    )


def parse_stat(text: str) -> int:
    """Reads the start time from the text of /proc/PID/stat, field 22 (proc_pid_stat(5), linprocfs(5)).

    Args:
        text: the file; the command's name may hold blanks and parentheses.

    Returns:
        Hundredths of a second since boot: that is what Linux counts in on every machine that FreeBSD runs
        on as well, and FreeBSD's linprocfs always (linprocfs.c, TV2J). sysconf(SC_CLK_TCK) is not asked:
        under the Linux ABI it is the rate of FreeBSD's statistics clock, 127 (linux_elf.c, AT_CLKTCK).

    Raises:
        ValueError: the text has no such field.
    """
    try:
        return int(text.rpartition(")")[2].split()[_STARTTIME])
    except IndexError:
        raise ValueError("no field 22 in /proc/PID/stat") from None


def started_ticks(pid: int) -> int | None:
    """Looks up when a process started.

    Args:
        pid: process id; a zombie still counts as a process.

    Returns:
        Hundredths of a second since boot; None if there is no such process or the kernel cannot be asked
        (neither a Linux-like /proc nor FreeBSD's kern.proc sysctl).
    """
    try:
        # Not open(): the text layer is a tenth of what a supervisor's memory costs.
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return parse_stat(os.read(fd, _STAT_BYTES).decode("latin-1"))
        finally:
            os.close(fd)
    except (OSError, ValueError):
        pass
    from jail_driver.supervisor import kinfo  # noqa: PLC0415  # only FreeBSD's own Python comes here

    return kinfo.started_ticks(pid)


def process_id(pid: int, boot_id: str) -> ProcessId | None:
    """Looks up the identity of a process that may be anybody's.

    Returns:
        None if there is no such process.
    """
    ticks = started_ticks(pid)
    return None if ticks is None else ProcessId(pid, ticks, boot_id)


def newborn_id(pid: int, boot_id: str) -> ProcessId:
    """Gives the identity of a process that was forked just now, by us.

    Where the kernel does not tell its start time (a Linux Python on FreeBSD without linprocfs), now is
    within the slack.
    """
    return process_id(pid, boot_id) or ProcessId(pid, uptime_ticks(), boot_id)


def uptime_ticks() -> int:
    """Returns hundredths of a second since boot, by the clock that the kernel stamps processes with."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_UPTIME", "CLOCK_MONOTONIC"):
        try:
            clock = getattr(time, name)
            return time.clock_gettime_ns(clock) * TICKS_PER_S // 1_000_000_000
        except (AttributeError, OSError):
            continue
    raise OSError("no clock counts from boot")
