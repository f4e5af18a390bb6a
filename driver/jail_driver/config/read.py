"""Reads single values: what Nomad's decoder may send for a key of type ``any``, turned into one Python type.

The schema leaves most types open, so that one answer can name every mistake of a job: Nomad itself would
stop at its own type errors first. Whole numbers arrive as int or, when large, as text; fractions arrive
as float or text (go-cty's msgpack encoding); flags may be written as text too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jail_driver.config.kinds import Key, Problems

_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS_PER = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MAX_SECONDS = 365 * 24 * 3600.0
_DIGITS = re.compile(r"[+-]?\d{1,25}\Z", re.ASCII)


def flag(key: str, value: Any, problems: Problems) -> bool | None:
    """Reads true or false, also as text or as 1 and 0; None after a problem was noted."""
    if isinstance(value, bool):
        return value
    text = str(value).lower() if isinstance(value, str | int) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    problems.add(key, value, "is neither true nor false", "write true or false")
    return None


def text(key: str, value: Any, problems: Problems, *, max_bytes: int, empty: bool = False) -> str | None:
    """Reads text; a number becomes its digits. None after a problem was noted.

    Args:
        key: for the problem.
        value: what Nomad sent.
        problems: where to note it.
        max_bytes: most bytes in UTF-8.
        empty: whether empty text means something.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        problems.add(key, value, "is not text", 'write it in quotes, as "value"')
        return None
    result = str(value)
    fault = text_fault(result, max_bytes)
    if fault is None and not result and not empty:
        fault = ("is empty", "leave the key out or give it a value")
    if fault is not None:
        problems.add(key, value, *fault)
        return None
    return result


def text_fault(value: str, max_bytes: int) -> tuple[str, str] | None:
    """Says why a text can be no argument of a command: reason and remedy."""
    if "\0" in value:
        return "holds a NUL character", "remove it: no argument of a command can carry one"
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode", "write it in UTF-8"
    if size > max_bytes:
        return f"has {size} bytes", f"at most {max_bytes} are possible"
    return None


def number(key: Key, value: Any, problems: Problems) -> int | None:
    """Reads a whole number within the row's bounds; None after a problem was noted."""
    result = whole(value)
    if result is None:
        problems.add(key.name, value, "is not a whole number", f"write one from {key.low} to {key.high}")
        return None
    if not key.low <= result <= key.high:
        problems.add(key.name, value, "is out of range", f"write a number from {key.low} to {key.high}")
        return None
    return result


def whole(value: Any) -> int | None:
    """Returns the whole number in an int, float or decimal text, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and _DIGITS.match(value):
        return int(value)
    return None


def seconds(key: str, value: Any, problems: Problems) -> float | None:
    """Reads a duration: a number of seconds, or text such as "90", "1m30s"; None after a problem was noted."""
    result = duration_s(value)
    if result is None or not 0 <= result <= _MAX_SECONDS:
        problems.add(key, value, "is not a duration", 'write seconds, as 30, or units, as "1m30s"')
        return None
    return result


def duration_s(value: Any) -> float | None:
    """Returns the seconds in a number, a decimal text or a text with units (Go's notation), or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) <= _MAX_SECONDS else None
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", value, re.ASCII):
        return float(value)
    parts = _DURATION.findall(value) if len(value) <= 40 and value.isascii() else []  # noqa: PLR2004  # no duration is longer
    if not parts or "".join(amount + unit for amount, unit in parts) != value:
        return None
    return sum(float(amount) * _SECONDS_PER[unit] for amount, unit in parts)


def texts(key: str, value: Any, problems: Problems, *, max_bytes: int) -> tuple[str, ...]:
    """Reads one text or a list of texts; bad entries are noted and left out."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        one = text(key, value, problems, max_bytes=max_bytes, empty=True)
        return () if one is None else (one,)
    found = [
        text(f"{key}[{index}]", item, problems, max_bytes=max_bytes, empty=True)
        for index, item in enumerate(value)
    ]
    return tuple(item for item in found if item is not None)


def maps(value: Any) -> list[Mapping[str, Any]] | None:
    """Returns the maps in ``key = {…}``, ``key {…}`` (a list of one map) or a list of maps; else None."""
    items = [value] if isinstance(value, Mapping) else value
    if isinstance(items, str) or not isinstance(items, Sequence):
        return None
    if not all(isinstance(item, Mapping) for item in items):
        return None
    return list(items)
