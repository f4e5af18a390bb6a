"""Runs a command as an unprivileged user: ``python drop.py UID COMMAND…``, started by root.

Where the interpreter or this tree lies below a directory that only root may enter, such as /root, that
directory is covered in a mount namespace of the command's own, and what is needed is shown in it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18
"""<sched.h> and <sys/mount.h> of Linux."""

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    """Raises what the C library said."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source: str | None, target: str, fstype: str | None, flags: int, data: str | None = None) -> None:
    """Mounts a file system, or shows a directory at a second place."""
    texts = [None if text is None else text.encode() for text in (source, target, fstype, data)]
    check(libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]))


def closed_above(path: Path) -> Path | None:
    """The highest directory above a path that others may not enter."""
    for parent in reversed(path.parents):
        if not parent.stat().st_mode & 0o001:
            return parent
    return None


def open_up(needed: Iterable[Path]) -> None:
    """Covers closed directories, and shows what is needed at its own place."""
    closed: dict[Path, list[Path]] = {}
    for path in needed:
        above = closed_above(path)
        if above is not None:
            closed.setdefault(above, []).append(path)
    for above, paths in closed.items():
        handles = {path: os.open(path, os.O_PATH) for path in paths}
        mount("tmpfs", str(above), "tmpfs", 0, "mode=755")
        for path, handle in handles.items():
            path.mkdir(parents=True, exist_ok=True)
            mount(f"/proc/self/fd/{handle}", str(path), None, MS_BIND | MS_REC)
            os.close(handle)


def main() -> None:
    """Drops everything and becomes the command."""
    uid, argv = int(sys.argv[1]), sys.argv[2:]
    check(libc.unshare(CLONE_NEWNS))
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    tree = Path(__file__).resolve().parents[2]
    open_up([tree, *{Path(prefix).resolve() for prefix in (sys.base_prefix, sys.prefix)}])
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    os.chdir("/")
    os.execv(argv[0], argv)  # noqa: S606  # the test's own command


if __name__ == "__main__":
    main()
