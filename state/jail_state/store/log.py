"""An exported event log: JSON Lines, one event a line, whole and readable for ever.

Each line stands alone: ``{"schema_version": 1, "stream": …, "seq": …, "at_ns": …, "name": …, "version": …,
"data": {…}}``. Other keys are for the reader's convenience and ignored when the log is read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jail_state.core.events import Recorded
from jail_state.store.codec import Codec, Row
from jail_state.store.errors import LogError, StoreTooNewError, UnavailableError
from jail_state.store.port import History
from jail_state.store.rows import decode_all

SCHEMA_VERSION: Final = 1

_TYPES: Final = {"stream": str, "seq": int, "at_ns": int, "name": str, "version": int, "data": dict}


def line(codec: Codec, recorded: Recorded, **extra: object) -> str:
    """Return one event as a line, without its newline.

    Args:
        codec: encodes the event.
        recorded: the event at its place.
        extra: more keys, for people who read the line.
    """
    row = codec.encode(recorded.stream, recorded.seq, recorded.at_ns, recorded.event)
    fields = {**row._asdict(), "data": json.loads(row.data)}
    return json.dumps({"schema_version": SCHEMA_VERSION, **extra, **fields})


def load(codec: Codec, lines: Iterable[str], name: str) -> Mapping[str, History]:
    """Read a log back, whatever the order of its streams.

    Args:
        codec: decodes the events; older versions are lifted.
        lines: the log; blank lines are skipped.
        name: what the log is called in errors.

    Raises:
        LogError: a line that is no event, a gap in a stream, or something of a newer program.
    """
    rows = [_row(text, f"{name}, line {number}") for number, text in enumerate(lines, 1) if text.strip()]
    try:
        return decode_all(codec, sorted(rows, key=lambda row: (row.stream, row.seq)), name)
    except UnavailableError as error:
        raise LogError(name, error.why, newer=isinstance(error, StoreTooNewError)) from error


def _row(text: str, place: str) -> Row:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LogError(place, str(error)) from None
    if not isinstance(found, dict):
        raise LogError(place, "no JSON object")
    if _get(found, "schema_version", int, place) > SCHEMA_VERSION:
        raise LogError(place, f"schema version {found['schema_version']} is newer than ours", newer=True)
    values = {key: _get(found, key, kind, place) for key, kind in _TYPES.items()}
    return Row(**{**values, "data": json.dumps(values["data"])})


def _get(found: Mapping[str, Any], key: str, kind: type, place: str) -> Any:
    value = found.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise LogError(place, f"{key} is missing or no {kind.__name__}")
    return value
