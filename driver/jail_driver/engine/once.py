"""What is made once, however many ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

Made = TypeVar("Made")


class Once(Generic[Made]):
    """One try at a time, joined by all who ask meanwhile; none of them ends it by going away.

    Args:
        make: makes it; where it fails, whoever asks next tries again.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Made]]) -> None:
        self._make = make
        self._trying: asyncio.Task[Made] | None = None

    @property
    def made(self) -> Made | None:
        """What was made, if it was."""
        trying = self._trying
        if trying is None or not trying.done() or trying.cancelled() or trying.exception() is not None:
            return None
        return trying.result()

    def get(self) -> Awaitable[Made]:
        """Return it; raises what ``make`` raises."""
        if self._trying is None or (self._trying.done() and self.made is None):
            self._trying = asyncio.create_task(self._make())
            self._trying.add_done_callback(_seen)
        return asyncio.shield(self._trying)

    async def close(self) -> None:
        """End a try that is under way; what was made stays."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)


def _seen(trying: asyncio.Task[Any]) -> None:
    """Take note of a failure that everybody who asked is too gone to hear."""
    if not trying.cancelled():
        trying.exception()
