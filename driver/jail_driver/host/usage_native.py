"""What processes and jails use, by FreeBSD's own system calls: for a native Python, where a look is cheap.

Layouts: sys/sys/user.h (struct kinfo_proc of 64-bit machines, 1088 bytes since FreeBSD 12.0) and
sys/sys/resource.h. Calls: sysctl(3) with kern.proc.proc, rctl_get_racct(2).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import struct
from collections.abc import Mapping
from typing import Any

from jail_driver.host.errors import HostError
from jail_driver.host.usage_parse import ProcessUsage

_CTL_KERN, _KERN_PROC, _KERN_PROC_PROC = 1, 14, 8
_SIZE = 1088
_PIDS = struct.Struct("=ii")
_PIDS_AT = 72
_RSS = struct.Struct("=q")
_RSS_AT = 264
_RUNTIME = struct.Struct("=Q")
_RUNTIME_AT = 328
_TIMEVAL = struct.Struct("=qq")
_CHILDREN_AT = 352
_JID = struct.Struct("=i")
_JID_AT = 592
_USER_AT = 608
_SYSTEM_AT = 624
_TRIES = 5
_COUNTERS_BYTES = 4096


def parse(listing: bytes, page_bytes: int) -> tuple[ProcessUsage, ...]:
    """Reads an array of struct kinfo_proc.

    Raises:
        HostError: this kernel's structure is another one.
    """
    found = []
    for at in range(0, len(listing) - _SIZE + 1, _SIZE):
        if _JID.unpack_from(listing, at)[0] != _SIZE:
            raise HostError("list the processes", "the kernel's struct kinfo_proc has another size")
        pid, ppid = _PIDS.unpack_from(listing, at + _PIDS_AT)
        runtime_s = _RUNTIME.unpack_from(listing, at + _RUNTIME_AT)[0] / 1e6
        found.append(
            ProcessUsage(
                pid,
                ppid,
                _JID.unpack_from(listing, at + _JID_AT)[0],
                _RSS.unpack_from(listing, at + _RSS_AT)[0] * page_bytes,
                _seconds(listing, at + _USER_AT),
                _seconds(listing, at + _SYSTEM_AT),
                runtime_s + _seconds(listing, at + _CHILDREN_AT),
            )
        )
    return tuple(found)


def _seconds(listing: bytes, at: int) -> float:
    whole, micro = _TIMEVAL.unpack_from(listing, at)
    return float(whole + micro / 1e6)


def parse_counters(text: bytes) -> Mapping[str, int]:
    """Reads the answer of rctl_get_racct(2): ``cputime=0,datasize=4096,…``.

    >>> parse_counters(b"cputime=2,memoryuse=4096,")
    {'cputime': 2, 'memoryuse': 4096}
    """
    pairs = (item.partition("=") for item in text.rstrip(b"\0").decode().split(",") if item)
    return {name: int(amount) for name, _, amount in pairs if amount.isdigit()}


class NativeUsage:
    """The calls.

    Args:
        libc: FreeBSD's.
    """

    def __init__(self, libc: Any) -> None:
        self._libc = libc

    def processes(self) -> tuple[ProcessUsage, ...]:
        """Lists all processes.

        Raises:
            HostError: the kernel refuses.
        """
        name = (ctypes.c_int * 3)(_CTL_KERN, _KERN_PROC, _KERN_PROC_PROC)
        for _ in range(_TRIES):
            size = ctypes.c_size_t(0)
            self._sysctl(name, None, size)
            size.value += size.value // 8 + 16 * _SIZE  # more may be born meanwhile
            buffer = ctypes.create_string_buffer(size.value)
            if self._sysctl(name, buffer, size):
                return parse(buffer.raw[: size.value], mmap.PAGESIZE)
        raise HostError("list the processes", "their number changes too fast")

    def _sysctl(self, name: Any, buffer: Any, size: ctypes.c_size_t) -> bool:
        if self._libc.sysctl(name, ctypes.c_uint(len(name)), buffer, ctypes.byref(size), None, 0) == 0:
            return True
        number = ctypes.get_errno()
        if number == errno.ENOMEM:
            return False
        raise HostError("list the processes", f"sysctl kern.proc: errno {number}")

    def counters(self, jail_name: str) -> Mapping[str, int]:
        """Asks for the RACCT counters of a jail; empty where the kernel does not count."""
        question = f"jail:{jail_name}".encode() + b"\0"
        buffer = ctypes.create_string_buffer(_COUNTERS_BYTES)
        failed = self._libc.rctl_get_racct(
            question, ctypes.c_size_t(len(question)), buffer, ctypes.c_size_t(len(buffer))
        )
        return {} if failed else parse_counters(buffer.value)


def load() -> NativeUsage | None:
    """Returns the calls; None where this Python's C library is not FreeBSD's."""
    libc = ctypes.CDLL(None, use_errno=True)
    return NativeUsage(libc) if hasattr(libc, "rctl_get_racct") and hasattr(libc, "sysctl") else None
