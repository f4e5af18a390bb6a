"""A small event loop: descriptors, timers, and children, without asyncio's memory.

Nothing is polled: SIGCHLD wakes the loop through a pipe (signalfd and pidfd are missing under FreeBSD's
Linux ABI, an ordinary handler is everywhere).
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import select
import sys
import time
from typing import TYPE_CHECKING

from jail_driver.supervisor import signals

if TYPE_CHECKING:
    from collections.abc import Callable

# poll(2) counts milliseconds in an int.
_LONGEST_WAIT_S = 86400.0

READ = select.POLLIN
WRITE = select.POLLOUT


class Timer:
    """One call in the future; ``cancel`` makes it not happen."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Forgets the call; doing so twice, or too late, is fine."""
        self._call = None

    def fire(self) -> None:
        """Makes the call unless it was cancelled."""
        call, self._call = self._call, None
        if call is not None:
            call()


class Loop:
    """Waits for descriptors, timers and SIGCHLD, and calls back; one thread, one loop a process.

    Made of poll(2), which is everywhere and, unlike the ``selectors`` module, costs no memory.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._wake, wake_write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_write, False)
        signals.wake_through(wake_write)
        self.watch(self._wake, READ, self._drain)

    def watch(self, fd: int, events: int, call: Callable[[], None]) -> None:
        """Calls back whenever ``fd`` is ready or broken; replaces an earlier watch of it.

        Args:
            fd: a pipe, FIFO or socket (a regular file is always ready: watching it makes no sense).
            events: ``READ``, ``WRITE`` or both.
            call: takes no arguments.
        """
        self._poll.register(fd, events)
        self._calls[fd] = call

    def unwatch(self, fd: int) -> None:
        """Stops watching; an unwatched ``fd`` is fine. Call it before closing the descriptor."""
        if self._calls.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Calls back once, ``delay_s`` seconds from now."""
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._order), timer))
        return timer

    def run(self, turn: Callable[[], bool]) -> None:
        """Serves until ``turn`` says True. It is called before the first wait and after each wake-up."""
        while not self._is_over(turn):
            ready = [(fd, self._calls[fd]) for fd, _ in self._poll.poll(self._timeout_ms())]
            for fd, call in ready:
                # An earlier call-back of this turn may have ended the watch.
                if self._calls.get(fd) is call:
                    self._guard(call, fd)
            while self._timers and self._timers[0][0] <= time.monotonic():
                self._guard(heapq.heappop(self._timers)[2].fire, None)

    @staticmethod
    def _is_over(turn: Callable[[], bool]) -> bool:
        try:
            return turn()
        except Exception:  # noqa: BLE001  # as in _guard
            report_fault()
            return False

    def _timeout_ms(self) -> int | None:
        if not self._timers:
            return None
        left_s = max(0.0, self._timers[0][0] - time.monotonic())
        return math.ceil(min(left_s, _LONGEST_WAIT_S) * 1000)

    def _drain(self) -> None:
        try:
            while os.read(self._wake, 512):
                pass
        except BlockingIOError:
            pass

    def _guard(self, call: Callable[[], None], fd: int | None) -> None:
        """Keeps a fault in one call-back from ending the parent of a running task.

        The descriptor is dropped, because it would be ready again at once, for ever.
        """
        try:
            call()
        except Exception:  # noqa: BLE001  # whatever it is, the task must not lose its parent
            report_fault()
            if fd is not None:
                self.unwatch(fd)


def report_fault() -> None:
    """Writes the current exception to stderr, which is the supervisor's own log file."""
    import traceback  # noqa: PLC0415  # half a megabyte that a healthy supervisor never needs

    try:
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
    except (OSError, ValueError):
        return
