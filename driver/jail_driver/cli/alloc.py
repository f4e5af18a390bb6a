"""An allocation's directory and its log collection, as an agent makes them for a driver with image isolation.

Layout: ``alloc/{data,logs,tmp}`` shared by the tasks, ``TASK/{local,secrets,tmp,private}`` for each
(client/allocdir of Nomad); the task's output goes through FIFOs in ``alloc/logs``.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import BinaryIO

_CHUNK_BYTES = 65536


def make(directory: Path, task: str) -> None:
    """Makes the directories of an allocation with one task."""
    for name, mode in (
        ("alloc/data", 0o777),
        ("alloc/logs", 0o777),
        ("alloc/tmp", 0o777),
        (f"{task}/local", 0o777),
        (f"{task}/secrets", 0o700),
        (f"{task}/tmp", 0o777),  # noqa: S108  # below the allocation's own directory
        (f"{task}/private", 0o700),
    ):
        (directory / name).mkdir(parents=True)
        (directory / name).chmod(mode)


class LogPipe:
    """One FIFO and the thread that copies it to a stream of ours, until the last writer closes it.

    Args:
        path: where to make the FIFO.
        sink: gets every byte, flushed at once.
    """

    def __init__(self, path: Path, sink: BinaryIO) -> None:
        os.mkfifo(path, 0o600)
        self.path = path
        self._sink = sink
        self._thread = threading.Thread(target=self._copy, name=path.name, daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        with self.path.open("rb", buffering=0) as fifo:
            while chunk := fifo.read(_CHUNK_BYTES):
                # Nobody reads us any more: the task must not notice.
                with contextlib.suppress(OSError, ValueError):
                    self._sink.write(chunk)
                    self._sink.flush()

    def close(self, timeout_s: float) -> None:
        """Waits for the end of the log; a FIFO that no task ever opened has ended, too.

        Args:
            timeout_s: bound, for a writer that stays.
        """
        self._thread.join(0.05)
        with contextlib.suppress(OSError):
            # Wakes a reader that still waits for the first writer.
            os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
        self._thread.join(timeout_s)
