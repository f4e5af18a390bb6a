"""Start times from FreeBSD's own sysctl(3), for a native Python without /proc.

Layouts: sys/sys/user.h (struct kinfo_proc, 64-bit) and sys/sys/sysctl.h.
"""

from __future__ import annotations

import ctypes
import struct

_CTL_KERN = 1
_KERN_PROC = 14
_KERN_PROC_PID = 1
_KERN_BOOTTIME = 21

_SIZE = 1088
_PID_AT = 72
_START_AT = 336
_TIMEVAL = struct.Struct("=qq")
_INT = struct.Struct("=i")
_US_PER_TICK = 10_000
_TRIES = 5


def parse(kinfo: bytes, boottime: bytes, pid: int) -> int | None:
    """Works out a start time in hundredths of a second since boot.

    Both kernel values move together when the clock is stepped, so their difference stays.

    Args:
        kinfo: struct kinfo_proc.
        boottime: struct timeval of kern.boottime, read at the same clock setting.
        pid: whom it must be about.

    Returns:
        None if the structure is not the one that we know, or about somebody else.
    """
    if len(kinfo) < _START_AT + _TIMEVAL.size or len(boottime) < _TIMEVAL.size:
        return None
    if _INT.unpack_from(kinfo)[0] != _SIZE or _INT.unpack_from(kinfo, _PID_AT)[0] != pid:
        return None
    start_s, start_us = _TIMEVAL.unpack_from(kinfo, _START_AT)
    boot_s, boot_us = _TIMEVAL.unpack_from(boottime)
    microseconds: int = (start_s - boot_s) * 1_000_000 + start_us - boot_us
    return microseconds // _US_PER_TICK


def started_ticks(pid: int) -> int | None:
    """Asks the kernel; None if it has no such process or no such interface."""
    for _ in range(_TRIES):
        before = _sysctl(_CTL_KERN, _KERN_BOOTTIME)
        kinfo = _sysctl(_CTL_KERN, _KERN_PROC, _KERN_PROC_PID, pid)
        if before is None or kinfo is None:
            return None
        if before == _sysctl(_CTL_KERN, _KERN_BOOTTIME):
            return parse(kinfo, before, pid)
    return None


def _sysctl(*name: int) -> bytes | None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "sysctl") or not hasattr(libc, "kenv"):
        return None  # Old C libraries on Linux have a sysctl of another meaning; kenv(2) is FreeBSD's.
    mib = (ctypes.c_int * len(name))(*name)
    buffer = ctypes.create_string_buffer(2 * _SIZE)
    size = ctypes.c_size_t(len(buffer))
    if libc.sysctl(mib, ctypes.c_uint(len(name)), buffer, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return None
    return buffer.raw[: size.value]
