"""Times, values and text of unknown authors, for a person at a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

from jail_state.core.steps import Step

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONG: Final = 100


def time_text(at_ns: int) -> str:
    """Return a time in UTC, to the millisecond.

    >>> time_text(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123Z'
    """
    try:
        moment = _EPOCH + timedelta(microseconds=at_ns // 1000)
    except OverflowError:
        return f"{at_ns} ns"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def printable(text: str) -> str:
    r"""Return text that a terminal shows and does not obey.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode() for one in text
    )


def value_text(value: object) -> str:
    """Return a field for people: words where possible, "" for what says nothing.

    What is long and nested is cut short; JSON shows it whole.
    """
    if isinstance(value, str):
        return _words(value)
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, tuple) and all(isinstance(item, Step) for item in value):
        return f"{len(value)} ({_short(', '.join(item.key for item in value))})"
    if is_dataclass(value) or isinstance(value, Mapping | tuple):
        return _short(json.dumps(plain(value), ensure_ascii=False))
    return str(value)


def plain(value: Any) -> Any:
    """Return plain JSON of what events and snapshots hold."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def _words(text: str) -> str:
    shown = printable(text)
    if " " not in shown and '"' not in shown:
        return shown
    return '"' + shown.replace('"', '\\"') + '"'


def _short(text: str) -> str:
    return printable(text if len(text) <= _LONG else f"{text[:_LONG]}…")
