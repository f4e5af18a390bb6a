"""What operators want to see, as it happens: one bounded queue per listener, the oldest dropped first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from jail_driver.model import DriverTaskEvent

_HISTORY = 256
"""Kept until the first listener comes: what recovery has to tell happens before Nomad listens."""


class Feed:
    """Broadcasts task events to every open TaskEvents stream."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[DriverTaskEvent]] = set()
        self._early: deque[DriverTaskEvent] = deque(maxlen=_HISTORY)

    def publish(self, event: DriverTaskEvent) -> None:
        """Hand an event to every listener; never blocks."""
        if not self._listeners:
            self._early.append(event)
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    async def listen(self) -> AsyncIterator[DriverTaskEvent]:
        """Yield events from now on, and first what nobody has heard yet."""
        queue: asyncio.Queue[DriverTaskEvent] = asyncio.Queue(_HISTORY)
        while self._early:
            queue.put_nowait(self._early.popleft())
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)
