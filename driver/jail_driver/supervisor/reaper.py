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

# Loaded with the module: the fork helper pays for it once, its children share the pages.
_LIBC = ctypes.CDLL(None, use_errno=True)


def become_reaper() -> str:
    """Makes this process the reaper of all descendants born from now on. Not inherited by fork.

    Returns:
        Which call did it, ``"procctl"`` or ``"prctl"``.

    Raises:
        OSError: the kernel offers neither.
    """
    if hasattr(_LIBC, "procctl"):
        arguments = (
            ctypes.c_int(_P_PID),
            ctypes.c_int64(os.getpid()),
            ctypes.c_int(_PROC_REAP_ACQUIRE),
            None,
        )
        if _LIBC.procctl(*arguments) == 0:
            return "procctl"
    if hasattr(_LIBC, "prctl"):
        zero = ctypes.c_ulong(0)
        if _LIBC.prctl(ctypes.c_int(_PR_SET_CHILD_SUBREAPER), ctypes.c_ulong(1), zero, zero, zero) == 0:
            return "prctl"
    number = ctypes.get_errno()
    raise OSError(number, f"cannot become the reaper of descendants: {os.strerror(number)}")
