"""Events to and from what is stored: stable name, version, JSON.

The stored name is never a module path, so moving a class breaks nothing. A changed event takes a new
version and an upcaster, which turns the old JSON into the next version's; old rows are never rewritten. A
version above ours is refused, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from jail_state.core.events import EVENT_TYPES, Event, Recorded
from jail_state.core.ids import TaskId
from jail_state.store.errors import DecodeError, EncodeError
from jail_state.store.shapes import Shape, ShapeError, dump_fields, field_shapes, load_fields

Upcaster: TypeAlias = Callable[[dict[str, Any]], tuple[str, int, dict[str, Any]]]
"""Takes an old event's fields; returns name, version and fields of the next one up."""

UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = MappingProxyType({})
"""By the (name, version) that they read. Empty as long as every event is at its first version."""


class Row(NamedTuple):
    """One stored event, as the table holds it."""

    stream: str
    seq: int
    at_ns: int
    name: str
    version: int
    data: str


class Codec:
    """Encodes and decodes a closed set of event types.

    Args:
        types: the current event types by stable name.
        upcasters: how older versions become the next one.
    """

    def __init__(
        self,
        types: Mapping[str, type[Event]] = EVENT_TYPES,
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    ) -> None:
        self._types = types
        self._upcasters = upcasters
        self._shapes: dict[str, Mapping[str, Shape]] = {}

    def encode(self, stream: str, seq: int, at_ns: int, event: Event) -> Row:
        """Return the row of an event.

        Raises:
            EncodeError: the event could not be read back: unknown type, or a field of another type than
                declared.
        """
        if self._types.get(event.name) is not type(event):
            raise EncodeError(event.name, f"{type(event).__name__} is not a registered type of event")
        try:
            fields = dump_fields(self._fields(event.name), event)
            data = json.dumps(fields, allow_nan=False, separators=(",", ":"))
        except ShapeError as error:
            raise EncodeError(event.name, str(error)) from None
        except (RecursionError, ValueError) as error:
            raise EncodeError(event.name, f"{type(error).__name__}: too deep or too big") from None
        return Row(stream, seq, at_ns, event.name, event.version, data)

    def decode(self, row: Row) -> Recorded:
        """Return the event of a row, lifted to its current version.

        Raises:
            DecodeError: an unknown or newer event, or fields that are not the declared ones.
        """
        name, version = row.name, row.version
        try:
            fields = json.loads(row.data)
            while (lift := self._upcasters.get((name, version))) is not None:
                name, version, fields = lift(fields)
            kind = self._current(name, version)
            event = kind(**load_fields(self._fields(name), fields))
        except (ShapeError, ValueError, RecursionError) as error:
            raise DecodeError(row.name, row.version, str(error), newer=False) from None
        return Recorded(TaskId(row.stream), row.seq, row.at_ns, event)

    def _fields(self, name: str) -> Mapping[str, Shape]:
        if name not in self._shapes:
            self._shapes[name] = field_shapes(self._types[name])
        return self._shapes[name]

    def _current(self, name: str, version: int) -> type[Event]:
        kind = self._types.get(name)
        if kind is None:
            raise DecodeError(name, version, "this program does not know this event", newer=True)
        if version > kind.version:
            raise DecodeError(name, version, f"this program knows it up to {kind.version}", newer=True)
        if version < kind.version:
            raise DecodeError(name, version, "no upcaster for it", newer=False)
        return kind
