"""Without root: the whole run inside one user namespace, where the kernel allows that.

Only Linux has them, and only the stand-ins can work inside. Nothing outside changes: mounts made inside
are invisible outside and end with the last process inside.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

from jail_driver.errors import UnavailableError

_NEW_USER: Final = 0x10000000
_NEW_MOUNTS: Final = 0x00020000
"""CLONE_NEWUSER and CLONE_NEWNS of <sched.h>; os.unshare is Python 3.12's."""

_PRIVATE: Final = 1 << 18
_RECURSIVE: Final = 1 << 14
"""MS_PRIVATE and MS_REC of <sys/mount.h>."""

_KNOBS: Final = (
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)


def become_root() -> bool:
    """Makes this process root: of the host if it is already, else of a new user namespace.

    Call it before any thread is started: the kernel refuses a process with several.

    Returns:
        Whether a namespace was entered.

    Raises:
        UnavailableError: not root, and no namespace can be had; the text says what is missing.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        return False
    try:
        _enter(uid, gid)
    except (OSError, AttributeError) as error:
        raise UnavailableError(f"not root, and no user namespace can be had ({_why(error)})") from error
    return True


def _enter(uid: int, gid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_NEW_USER | _NEW_MOUNTS))
    # Without setgroups switched off an unprivileged process may not write its gid map (user_namespaces(7)).
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _check(libc.mount(None, b"/", None, ctypes.c_ulong(_PRIVATE | _RECURSIVE), None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _why(error: Exception) -> str:
    """Names the knob that forbids it, where one does."""
    if isinstance(error, AttributeError):
        return "this kernel has none: run it as root"
    for path, forbidding, remedy in _KNOBS:
        try:
            value = Path(path).read_text().strip()
        except OSError:
            continue
        if value == forbidding:
            return f"{path} is {value}: `{remedy}` as root allows it"
    if isinstance(error, OSError) and error.errno == errno.ENOSYS:
        return "this kernel has none: run it as root"
    return f"{error}; in a container, it must be started with more rights, or run it as root"
