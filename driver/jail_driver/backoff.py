"""Waiting between tries: ever longer, up to a bound."""

from __future__ import annotations

import asyncio


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
