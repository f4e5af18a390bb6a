"""The port between the engine and the event store: appends with an expected version, reads, retention.

A stream is one task's life; its name is the Nomad task id. ``(stream, seq)`` is the primary key, so
optimistic concurrency is a constraint of the table. Both stores, SQLite's and the in-memory fake, are held
to one contract suite (tests/store/test_contract.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from jail_state.core.events import Event, Recorded
from jail_state.store.errors import StoreError


@dataclass(frozen=True, slots=True)
class Append:
    """Events to be added to one stream, all or none.

    Args:
        stream: the stream's name: the Nomad task id.
        expected_version: seq of the last event that the writer knows; 0 for a new stream.
        events: the facts, in order; they get the numbers ``expected_version + 1`` and up. May be empty
            when the append only closes the stream.
        at_ns: when they became known, UTC, nanoseconds since the epoch.
        durable: whether a power cut must not lose them: pays for an fsync. A commit always survives the
            death of the process.
        closes: whether these are the stream's last events: it is then no longer ``live`` and may be purged.
    """

    stream: str
    expected_version: int
    events: tuple[Event, ...]
    at_ns: int
    durable: bool = False
    closes: bool = False


History: TypeAlias = tuple[Recorded, ...]


class EventReader(Protocol):
    """Reads events. Every method may raise ``UnavailableError`` (damaged, locked, newer…)."""

    def read(self, stream: str, after: int = 0) -> History:
        """Return the stream's events with a seq above ``after``, in order; none if it is unknown."""
        ...

    def live(self) -> Mapping[str, History]:
        """Return all events of all streams that are not closed, by stream."""
        ...

    def every(self) -> Mapping[str, History]:
        """Return all events of all streams, the closed ones too, by stream."""
        ...

    def heads(self) -> Mapping[str, int]:
        """Return each stream's version: the seq of its last event."""
        ...

    def closed(self) -> Mapping[str, int]:
        """Return when each closed stream was closed: UTC, nanoseconds since the epoch."""
        ...


class EventStore(EventReader, Protocol):
    """Reads and writes events. One writer at a time; a writer process of its own is not assumed."""

    def commit(self, appends: Sequence[Append]) -> list[StoreError | None]:
        """Store the appends in one transaction.

        Returns:
            One entry for each append: None, or why it alone was refused (``ConcurrencyError``,
            ``StreamClosedError``, ``EncodeError``).

        Raises:
            UnavailableError: nothing was stored; after a disk error in the commit itself even that is not
                certain, so read the stream before trying the same again.
        """
        ...

    def close_stream(self, stream: str, at_ns: int) -> None:
        """Close a stream; a closed or unknown one is fine."""
        ...

    def purge(self, closed_before_ns: int) -> int:
        """Forget the streams that were closed before a time (UTC, nanoseconds); return how many."""
        ...

    def probe(self) -> None:
        """Write a little and throw it away: says whether an append would work now.

        Raises:
            UnavailableError: it would not, and why.
        """
        ...

    def close(self) -> None:
        """Give up the files; may be repeated."""
        ...
