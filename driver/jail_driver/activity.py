"""Who is there: the long calls that an agent holds open for as long as it lives.

A unix socket closes with its process, so the calls of a killed agent end at once. A plugin that is asked to
hand over its state directory reads here whether an agent still needs it.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERVING = ("Fingerprint", "TaskEvents", "WaitTask")
"""Held by the agent that really uses the driver."""

CONNECTED = ("StartStream", "StreamStdio")
"""Held by every go-plugin host from its connection on, also in the launches that only ask."""


class Activity:
    """Counts open long calls by RPC name; used from the event loop alone."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def stream(self, name: str) -> Iterator[None]:
        """Counts one call for as long as the block runs."""
        self._open[name] += 1
        try:
            yield
        finally:
            self._open[name] -= 1

    @property
    def counts(self) -> Mapping[str, int]:
        """Open calls by RPC name; names without a call are left out."""
        return +self._open

    @property
    def long_calls(self) -> int:
        """Open Fingerprint, TaskEvents and WaitTask calls."""
        return sum(self._open[name] for name in SERVING)

    @property
    def agent_alive(self) -> bool:
        """Whether any host is connected: it holds long calls, or at least go-plugin's own streams."""
        return any(self._open[name] > 0 for name in (*SERVING, *CONNECTED))
