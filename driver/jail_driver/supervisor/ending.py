"""Which signal ended a process, in the numbering of the kernel that sent it. Pure.

A Linux program on a FreeBSD kernel is told Linux's numbers (sys/compat/linux/linux.c, bsd_to_linux_sigtbl):
10 for SIGUSR1, which is 30 to everybody else on that host. Two signals have no number there at all, so that
the status of a process that SIGEMT killed is the one of a success; only waitid(2) tells them apart
(linux_misc.c, linux_common_wait; linux_signal.c, siginfo_to_lsiginfo).
"""

from __future__ import annotations

import os
import signal
import sys

FREEBSD = (
    "HUP INT QUIT ILL TRAP ABRT EMT FPE KILL BUS SEGV SYS PIPE ALRM TERM URG STOP TSTP CONT CHLD TTIN TTOU IO"
    " XCPU XFSZ VTALRM PROF WINCH INFO USR1 USR2 THR LIBRT"
)
"""Names by number, from 1 (sys/sys/signal.h)."""

TRANSLATED = sys.platform == "linux" and "BSD" in os.uname().version
"""Whether we are told other numbers than the kernel's: uname(2) gives its own version even so."""

UNTOLD = 127
"""Stands for a signal that nobody tells the number of; no kernel has one of that number."""

_EMT, _THR = 7, 32
_LINUX_REALTIME = 32
_REALTIME_OFFSET = 65 - 32
_NO_LINUX_SIGNAL = 0x7F
_KILLED = (os.CLD_KILLED, os.CLD_DUMPED)


def signal_of(status: int, code: int, *, translated: bool | None = None) -> int:
    """Returns the number of the signal that ended a process, as the kernel counts; 0 if it exited.

    Args:
        status: of waitpid(2).
        code: of waitid(2), si_code.
        translated: whether the status has Linux's numbers and the kernel is FreeBSD; None: ask the kernel.

    >>> signal_of(10, os.CLD_KILLED, translated=True), signal_of(10, os.CLD_KILLED, translated=False)
    (30, 10)
    """
    told = status & _NO_LINUX_SIGNAL
    if not (TRANSLATED if translated is None else translated):
        return told if os.WIFSIGNALED(status) else 0
    if code not in _KILLED:
        return 0
    if told == 0:  # SIGLIBRT leaves no core
        return _EMT if code == os.CLD_DUMPED else UNTOLD
    if told == _NO_LINUX_SIGNAL:
        return _THR
    if told >= _LINUX_REALTIME:
        return told + _REALTIME_OFFSET
    name = signal.Signals(told).name.removeprefix("SIG")
    return FREEBSD.split().index(name) + 1


def name_of(number: int) -> str:
    """Returns a signal's name where the kernel is the one that we run on, else its number."""
    if number == UNTOLD:
        return "a signal that Linux has no number for (SIGEMT or SIGLIBRT)"
    if TRANSLATED:
        names = FREEBSD.split()
        return f"SIG{names[number - 1]}" if number <= len(names) else f"signal {number}"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
