"""Which appends of a batch are taken: pure, shared by the SQLite store and its fake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jail_state.store.codec import Codec, Row
from jail_state.store.errors import ConcurrencyError, EncodeError, StoreError, StreamClosedError
from jail_state.store.port import Append


@dataclass(frozen=True, slots=True)
class StreamHead:
    """Where a stream stands: its version, and when it was closed (UTC, nanoseconds), if it was."""

    version: int
    closed_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """The verdict on a batch of appends.

    Args:
        rows: the rows to insert, in order.
        opened: the streams that did not exist before.
        closing: the streams to close, with the time.
        outcomes: for each append None, or why it was refused.
    """

    rows: list[Row]
    opened: list[str]
    closing: dict[str, int]
    outcomes: list[StoreError | None]


def admit(appends: Sequence[Append], heads: Mapping[str, StreamHead], codec: Codec) -> Batch:
    """Judge appends in order; a later one sees what an earlier one of the same batch added.

    Args:
        appends: what callers want stored.
        heads: the present head of each of their streams that exists.
        codec: encodes the events.
    """
    batch = Batch([], [], {}, [])
    now = dict(heads)
    for append in appends:
        try:
            rows = _judge(append, now.get(append.stream), codec)
        except StoreError as refusal:
            batch.outcomes.append(refusal)
            continue
        if append.stream not in now:
            batch.opened.append(append.stream)
        if append.closes:
            batch.closing[append.stream] = append.at_ns
        now[append.stream] = StreamHead(
            append.expected_version + len(rows), append.at_ns if append.closes else None
        )
        batch.rows.extend(rows)
        batch.outcomes.append(None)
    return batch


def _judge(append: Append, head: StreamHead | None, codec: Codec) -> list[Row]:
    if head is not None and head.closed_at_ns is not None:
        raise StreamClosedError(append.stream)
    version = 0 if head is None else head.version
    if append.expected_version != version:
        raise ConcurrencyError(append.stream, append.expected_version, version)
    if not append.events and (version == 0 or not append.closes):
        raise EncodeError("", "an append without an event can only close a stream that exists")
    if not nameable(append.stream):
        raise EncodeError("", f"{append.stream!a} is not UTF-8 and cannot name a stream")
    return [
        codec.encode(append.stream, version + number, append.at_ns, event)
        for number, event in enumerate(append.events, start=1)
    ]


def nameable(stream: str) -> bool:
    """Whether a stream can have this name: text that SQLite can hold (no lone surrogates)."""
    try:
        stream.encode()
    except UnicodeEncodeError:
        return False
    return True
