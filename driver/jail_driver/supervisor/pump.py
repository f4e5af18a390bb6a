"""Copies one stream of the task to its log and to the console log, and never blocks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jail_driver.supervisor.loop import READ, WRITE, Loop, Timer

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 65536
_RETRY_S = 0.5


class Pump:
    """Copies a pipe. What the log does not take is held, and the pipe is not read meanwhile.

    So a log without a reader slows the task down as the FIFO itself would; nothing is lost or killed.

    Args:
        loop: calls back when there is something to do.
        source: read end of the task's pipe; closed by ``close``.
        log: a FIFO opened non-blocking, or a plain file or device. Not ours to close.
        console: a plain file. It is best effort: when its disk is full, its copy has a gap.
    """

    def __init__(self, loop: Loop, source: int, log: int, console: int) -> None:
        self._loop = loop
        self._source = source
        self._log = log
        self._console = console
        self._held = b""
        self._is_finishing = False
        self._retry: Timer | None = None
        self.is_done = False
        self.on_done: Callable[[], None] | None = None
        os.set_blocking(source, False)
        loop.watch(source, READ, self._on_readable)

    def finish(self) -> bool:
        """Takes what is left in the pipe; no writer of the task is alive any more.

        Returns:
            True if everything is copied; else ``on_done`` will be called then.
        """
        self._is_finishing = True
        while not self._held and self._read():
            self._write()
        self._check_done()
        return self.is_done

    def give_up(self) -> None:
        """Nobody takes the log: what is left goes to the console log alone."""
        self.on_done = None
        self._is_finishing = True
        while self._read():
            pass

    def close(self) -> None:
        """Stops copying."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.unwatch(self._source)
        self._loop.unwatch(self._log)
        os.close(self._source)

    def _on_readable(self) -> None:
        if self._read():
            self._write()
        else:
            self._loop.unwatch(self._source)

    def _read(self) -> bool:
        """Reads one chunk into ``_held``; False at the end, or if there is nothing now while finishing."""
        try:
            self._held = os.read(self._source, _CHUNK)
        except BlockingIOError:
            return not self._is_finishing
        self._copy_to_console(self._held)
        return bool(self._held)

    def _copy_to_console(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._console, data) :]
        except OSError:
            return

    def _write(self) -> None:
        try:
            while self._held:
                self._held = self._held[os.write(self._log, self._held) :]
        except BlockingIOError:
            self._loop.unwatch(self._source)
            self._loop.watch(self._log, WRITE, self._on_writable)
        except OSError:
            # A plain file on a full disk: ask again, as the task itself would have to.
            self._loop.unwatch(self._source)
            self._retry = self._loop.later(_RETRY_S, self._on_writable)

    def _on_writable(self) -> None:
        self._loop.unwatch(self._log)
        self._write()
        if self._held:
            return
        if self._is_finishing:
            self.finish()
        else:
            self._loop.watch(self._source, READ, self._on_readable)

    def _check_done(self) -> None:
        if not self._held and not self.is_done:
            self.is_done = True
            if self.on_done is not None:
                self.on_done()
