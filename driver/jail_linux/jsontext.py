"""JSON without the `json` package, whose import costs more than a whole stand-in.

CPython's scanner and string encoder live in the C module `_json`; the package around them pulls in `re`.
"""

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


class _Context:
    """What the C scanner asks its caller for; the values are json.JSONDecoder's defaults."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: "dict[str, str]" = {}  # noqa: RUF012  # the scanner's own cache, cleared by it after each call


_scan = _json.make_scanner(_Context())  # type: ignore[arg-type]  # it asks for attributes only


def loads(text: str) -> "Any":
    """Read one JSON value.

    Args:
        text: The document; blanks before it are allowed, anything after it is ignored.

    Returns:
        dict, list, str, int, float, bool or None.

    Raises:
        ValueError: The text is not JSON.
    """
    try:
        value, _ = _scan(text.lstrip(), 0)
    except (StopIteration, SystemError):
        # The scanner cannot raise the `json` package's own error while that package is not imported.
        raise ValueError("not JSON") from None
    return value


def quoted(text: str) -> str:
    """Write a string as libxo does: non-ASCII text stays as it is, control characters are escaped."""
    if text.isalnum():
        return f'"{text}"'
    parts = [_SHORT.get(character) or _control(character) for character in text]
    return '"' + "".join(parts) + '"'


def _control(character: str) -> str:
    return f"\\u{ord(character):04x}" if character < " " else character


def dumps(value: "Any") -> str:
    """Write plain data as ASCII JSON on one line.

    Args:
        value: dict with string keys, list, tuple, str, int, float, bool or None, nested.

    Returns:
        The document, ending with a newline.

    Raises:
        TypeError: Something else is inside.
    """
    return _dump(value) + "\n"


def _dump(value: "Any") -> str:
    if isinstance(value, str):
        return _json.encode_basestring_ascii(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_dump(key)}: {_dump(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_dump(item) for item in value) + "]"
    raise TypeError(f"no JSON for {type(value).__name__}")
