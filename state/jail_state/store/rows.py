"""Rows into histories, and an event that cannot be read into an error about the store."""

from __future__ import annotations

from collections.abc import Iterable

from jail_state.core.events import Recorded
from jail_state.store.codec import Codec, Row
from jail_state.store.errors import DecodeError, StoreDamagedError, StoreTooNewError
from jail_state.store.port import History


def decode_all(codec: Codec, rows: Iterable[Row], path: str, after: int = 0) -> dict[str, History]:
    """Decode rows, grouped by stream; the rows of a stream come in the order of their seq.

    Args:
        codec: decodes the events.
        rows: whole streams, or their part above ``after``.
        path: the database, for the errors.
        after: the seq that the first row of each stream follows.

    Raises:
        StoreDamagedError: a row that is no sound event, or numbers that do not follow one another.
        StoreTooNewError: an event that only a newer program knows.
    """
    histories: dict[str, list[Recorded]] = {}
    for row in rows:
        history = histories.setdefault(row.stream, [])
        before = history[-1].seq if history else after
        if row.seq != before + 1:
            raise StoreDamagedError(path, f"{_place(row)} does not follow event {before}")
        try:
            history.append(codec.decode(row))
        except DecodeError as error:
            kind = StoreTooNewError if error.newer else StoreDamagedError
            raise kind(path, f"{_place(row)}: {error}") from error
    return {stream: tuple(history) for stream, history in histories.items()}


def _place(row: Row) -> str:
    return f"event {row.seq} of stream {row.stream!r}"
