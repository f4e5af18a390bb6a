"""Become the parent of one's orphaned descendants.

FreeBSD: procctl(2) PROC_REAP_ACQUIRE. Linux, and Linux programs on FreeBSD: prctl(2)
PR_SET_CHILD_SUBREAPER. Which one works is found out by calling it: the platform's name is no guide.
"""

from __future__ import annotations

import ctypes
import os

_P_PID = 0
_PROC_REAP_ACQUIRE = 2
_PR_SET_CHILD_SUBREAPER = 36

# Loaded and declared with the module: the fork helper pays for it once, its children share the pages.
_LIBC = ctypes.CDLL(None, use_errno=True)
_PROCCTL = getattr(_LIBC, "procctl", None)
_PRCTL = getattr(_LIBC, "prctl", None)
if _PROCCTL is not None:
    _PROCCTL.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int, ctypes.c_void_p)
if _PRCTL is not None:
    _PRCTL.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)


def become_reaper() -> str:
    """Makes this process the reaper of all descendants born from now on. Not inherited by fork.

    Returns:
        Which call did it, ``"procctl"`` or ``"prctl"``.

    Raises:
        OSError: the kernel offers neither.
    """
    if _PROCCTL is not None and _PROCCTL(_P_PID, os.getpid(), _PROC_REAP_ACQUIRE, None) == 0:
        return "procctl"
    if _PRCTL is not None and _PRCTL(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0:
        return "prctl"
    number = ctypes.get_errno()
    raise OSError(number, f"cannot become the reaper of descendants: {os.strerror(number)}")
