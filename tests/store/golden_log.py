"""Writes a line for each event type that has none yet: ``python tests/store/golden_log.py``.

The lines of tests/store/golden stand for what is on operators' disks. They are added to and never changed:
an event that no longer reads its own line has changed without a new version and an upcaster. Once a version
is released, its file is renamed after it, and the next one begins.
"""

import enum
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

from jail_state.core.events import EVENT_TYPES, Event, Recorded
from jail_state.core.ids import TaskId
from jail_state.store import log
from jail_state.store.codec import Codec

FOLDER = Path(__file__).with_name("golden")
NEXT = FOLDER / "unreleased.jsonl"

SCALARS: dict[Any, Any] = {
    str: "é \x00'\"",
    int: -(2**40),
    float: 1.5,
    bool: True,
    Any: {"list": (1, None, "x"), "nested": {"flag": False}},
}


def sample(hint: Any) -> Any:
    """Return a value of a field's type that fills every part of it."""
    if isinstance(hint, NewType):
        return sample(hint.__supertype__)
    if hint in SCALARS:
        return SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint))
    if isinstance(hint, type) and is_dataclass(hint):
        return filled(hint)
    return sample_of_generic(get_origin(hint), get_args(hint))


def sample_of_generic(origin: Any, args: tuple[Any, ...]) -> Any:
    """Return a value of an optional type, a mapping or a tuple."""
    if origin in (types.UnionType, Union):
        return sample(next(arg for arg in args if arg is not type(None)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"key": sample(args[1])}
    return (sample(args[0]),)


def filled(cls: type) -> Any:
    """Return an instance of a dataclass with every field filled."""
    hints = get_type_hints(cls)
    return cls(**{field.name: sample(hints[field.name]) for field in fields(cls)})


def lines() -> Iterator[tuple[str, str]]:
    """Yield every golden line with its file's name."""
    for file in sorted(FOLDER.glob("*.jsonl")):
        for text in file.read_text().splitlines():
            yield file.name, text


def line(event: type[Event]) -> str:
    """Return the line of an event type as it is today; each type is a stream of its own."""
    stream = TaskId(f"{event.name}/{event.version}")
    return log.line(Codec(), Recorded(stream, 1, 1_700_000_000_000_000_000, filled(event)))


def main() -> None:
    """Add what is missing."""
    there = [text for _, text in lines()]
    with NEXT.open("a") as file:
        for event in EVENT_TYPES.values():
            if not any(f'"stream": "{event.name}/{event.version}"' in text for text in there):
                file.write(f"{line(event)}\n")


if __name__ == "__main__":
    main()
