"""Signals without their enums.

The functions of the ``signal`` module turn each number into an enum member and back; that touches so much
memory that a supervisor would cost a tenth more. ``_signal`` is what they call.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # no stubs: it is the C half of `signal`
import signal
from typing import Any

_ALL = frozenset(int(number) for number in signal.valid_signals())
_UNCATCHABLE = frozenset({int(signal.SIGKILL), int(signal.SIGSTOP)})
_CHILD = int(signal.SIGCHLD)
KILL = int(signal.SIGKILL)

DEAF_TO = tuple(
    int(signal.Signals[f"SIG{name}"])
    for name in ("HUP", "INT", "QUIT", "TERM", "PIPE", "ALRM", "USR1", "USR2", "TSTP", "TTIN", "TTOU")
)
"""What a supervisor ignores: nothing but SIGKILL parts it from its task."""


def be_deaf() -> None:
    """Ignores what people and terminals send; no signal stays blocked."""
    for number in DEAF_TO:
        _signal.signal(number, _signal.SIG_IGN)
    _signal.signal(_CHILD, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def wake_through(fd: int) -> None:
    """Makes each SIGCHLD write a byte to a non-blocking pipe."""
    _signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    _signal.signal(_CHILD, _nothing)


def block() -> Any:
    """Blocks all signals; returns what ``restore`` takes."""
    return _signal.pthread_sigmask(_signal.SIG_BLOCK, _ALL)


def restore(mask: Any) -> None:
    """Undoes ``block``."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def forget_handlers() -> None:
    """Gives every signal its default effect, in a child before its exec; call ``unblock`` after that."""
    _signal.set_wakeup_fd(-1)
    for number in _ALL - _UNCATCHABLE:
        try:
            _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # A real-time signal that libc keeps for itself.


def unblock() -> None:
    """Blocks nothing."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _nothing(_number: int, _frame: Any) -> None:
    """Does nothing: the byte in the pipe is the message."""
