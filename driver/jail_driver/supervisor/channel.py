"""The go channel: the plugin's order comes in, what became of it goes out; end of file means stop.

In: four bytes of length, big-endian, then JSON. Out: JSON lines.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from jail_driver.supervisor.files import VERSION
from jail_driver.supervisor.loop import READ, Loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

HEADER_BYTES = 4
MAX_ORDER_BYTES = 256 * 1024 * 1024
_CHUNK = 1 << 20


class GoChannel:
    """The supervisor's end of the socket pair.

    Args:
        loop: reads it.
        fd: the descriptor, ours to close.
        on_order: called once with a whole order; a partial one counts as none.
        on_end: called if the plugin lets go before that.
    """

    def __init__(
        self, loop: Loop, fd: int, on_order: Callable[[dict[str, Any]], None], on_end: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._fd: int | None = fd
        self._on_order = on_order
        self._on_end = on_end
        self._buffer = bytearray()
        os.set_blocking(fd, False)
        loop.watch(fd, READ, self._on_readable)

    def report(self, event: str, **fields: Any) -> None:
        """Sends one line. A plugin that is gone is no reason to stop: it finds the records."""
        if self._fd is not None:
            send_line(self._fd, event, **fields)

    def close(self) -> None:
        """Lets go of the plugin; reports after that go nowhere."""
        if self._fd is not None:
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = None

    def _on_readable(self) -> None:
        assert self._fd is not None  # noqa: S101  # watched only while open
        try:
            chunk = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._loop.unwatch(self._fd)
            self._on_end()
            return
        self._buffer += chunk
        size = HEADER_BYTES + int.from_bytes(self._buffer[:HEADER_BYTES], "big")
        if len(self._buffer) < HEADER_BYTES or len(self._buffer) < min(size, MAX_ORDER_BYTES):
            return
        self._loop.unwatch(self._fd)
        try:
            order = json.loads(bytes(self._buffer[HEADER_BYTES:size]))
        except ValueError:
            order = None
        self._buffer = bytearray()
        if isinstance(order, dict):
            self._on_order(order)
        else:
            self._on_end()


def send_line(fd: int, event: str, **fields: Any) -> None:
    """Writes one report, best effort: lines are far smaller than an empty socket's buffer."""
    line = json.dumps({"version": VERSION, "event": event, **fields}).encode() + b"\n"
    try:
        os.write(fd, line)
    except OSError:
        return
