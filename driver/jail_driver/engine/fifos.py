"""Nomad's log FIFOs for tasks that do not run as root.

Nomad makes them 0600 for root (client/logmon: ``fifo.CreateAndRead``). What is written to the inherited
descriptor needs no permission, but many programs open /dev/stdout again: on Linux that opens the FIFO by its
permissions, on FreeBSD it duplicates the descriptor (fd(4)). So the FIFO is given to the task's user, who may
then open it; the collector reads it as root. Nothing but a FIFO is ever given away, and no link is followed:
the directory lies in /alloc, which the allocation's tasks may change.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from jail_driver.engine.steps.safe import parent_of, parts_of


def give(path: str, alloc_dir: str, uid: int) -> bool:
    """Give a FIFO below the allocation's directory to a user; tell whether it was one.

    A log that cannot be given away stops no task: it can still be written to.
    """
    base = os.path.realpath(alloc_dir)
    place = os.path.normpath(path)
    if uid == 0 or not place.startswith(f"{base}/"):
        return False
    parts = parts_of(place[len(base) :])
    with contextlib.suppress(OSError), parent_of(Path(base), parts) as above:
        # Never as a writer: the collector takes the end of the last writer for the end of the log.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(parts[-1], flags, dir_fd=above)
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.fchown(descriptor, uid, -1)
                return True
        finally:
            os.close(descriptor)
    return False
