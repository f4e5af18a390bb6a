"""Waiting between tries: ever longer, up to a bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Backoff:
    """The pauses of one row of tries.

    Args:
        first_s: the first pause.
        most_s: no pause is longer.
    """

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = self._next_s = first_s
        self._most_s = most_s

    async def pause(self) -> None:
        """Wait, and have the next pause be twice as long."""
        this_s, self._next_s = self._next_s, min(2 * self._next_s, self._most_s)
        await asyncio.sleep(this_s)

    def reset(self) -> None:
        """Begin anew: a try went well."""
        self._next_s = self._first_s


async def happens(condition: Callable[[], bool], timeout_s: float, *, most_s: float) -> bool:
    """Look, from every 10 ms on to ever more rarely, until a condition holds; False at the bound.

    Args:
        condition: looked at once at least, and once more at the bound.
        timeout_s: the bound, seconds.
        most_s: no pause between two looks is longer, seconds.
    """
    deadline_s = time.monotonic() + timeout_s
    pause_s = 0.01
    while not condition():
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return False
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, most_s)
    return True
