"""How a type of the core travels as JSON, compiled once from its annotations.

An event that was written must be readable for ever, so both directions check: ``dump`` refuses a value
that ``load`` would not give back. Known shapes: str, int, float, bool, None, enums (by value), ``X | None``,
``tuple[X, ...]``, ``Mapping[str, X]``, frozen dataclasses of these, ``Any`` (plain JSON; a list comes back
as a tuple) and NewTypes.
"""

from __future__ import annotations

import enum
import functools
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NewType, TypeAlias, Union, get_args, get_origin, get_type_hints

Convert: TypeAlias = Callable[[Any], Any]


class ShapeError(Exception):
    """A value that does not fit its declared type; the text says where and what."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Both directions of one type, and its name for the record of released shapes."""

    dump: Convert
    load: Convert
    text: str


def field_shapes(cls: type) -> Mapping[str, Shape]:
    """Return the shape of each field of a dataclass, in the order of declaration.

    Raises:
        TypeError: a field of a type that cannot travel: an error in the program.
    """
    hints = get_type_hints(cls)
    return {field.name: shape_of(hints[field.name]) for field in fields(cls)}


@functools.cache
def shape_of(hint: Any) -> Shape:
    """Compile the shape of a type.

    Raises:
        TypeError: a type that cannot travel: an error in the program.
    """
    if isinstance(hint, NewType):
        return shape_of(hint.__supertype__)
    if hint is Any:
        return Shape(_plain(list), _plain(tuple), "any")
    if hint in _SCALARS:
        return _scalar(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _enum(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return _record(hint)
    return _generic(hint)


def _generic(hint: Any) -> Shape:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        inner = [arg for arg in args if arg is not type(None)]
        if len(inner) == 1 and len(args) > 1:
            return _optional(shape_of(inner[0]))
    if origin is tuple and len(args) > 1 and args[1] is Ellipsis:
        return _many(shape_of(args[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping) and args[0] is str:
        return _mapping(shape_of(args[1]))
    raise TypeError(f"{hint!r} cannot be a field of an event")


_SCALARS = (str, int, float, bool)


def _scalar(cls: type) -> Shape:
    """A bool is no int; an int will do where a float is declared; NaN and infinity are not JSON."""

    def check(value: Any) -> Any:
        if cls is float and isinstance(value, int | float) and not isinstance(value, bool):
            if isinstance(value, int) or math.isfinite(value):
                return value
        elif isinstance(value, cls) and (cls is bool or not isinstance(value, bool)):
            return value
        raise ShapeError(f"{_brief(value)} is no {cls.__name__}")

    return Shape(check, check, cls.__name__)


def _enum(cls: type[enum.Enum]) -> Shape:
    def dump(value: Any) -> Any:
        if not isinstance(value, cls):
            raise ShapeError(f"{_brief(value)} is no {cls.__name__}")
        return value.value

    def load(value: Any) -> Any:
        try:
            return cls(value)
        except ValueError:
            raise ShapeError(f"{_brief(value)} is no {cls.__name__}") from None

    members = ",".join(str(member.value) for member in cls)
    return Shape(dump, load, f"enum({members})")


def _optional(inner: Shape) -> Shape:
    def maybe(convert: Convert) -> Convert:
        return lambda value: None if value is None else convert(value)

    return Shape(maybe(inner.dump), maybe(inner.load), f"{inner.text}?")


def _many(inner: Shape) -> Shape:
    def dump(value: Any) -> Any:
        if not isinstance(value, tuple):
            raise ShapeError(f"{_brief(value)} is no tuple")
        return [_at(index, inner.dump, item) for index, item in enumerate(value)]

    def load(value: Any) -> Any:
        if not isinstance(value, list):
            raise ShapeError(f"{_brief(value)} is no list")
        return tuple(_at(index, inner.load, item) for index, item in enumerate(value))

    return Shape(dump, load, f"[{inner.text}]")


def _mapping(inner: Shape) -> Shape:
    def both(convert: Convert) -> Convert:
        def run(value: Any) -> Any:
            if not isinstance(value, Mapping):
                raise ShapeError(f"{_brief(value)} is no mapping")
            return {_key(key): _at(key, convert, item) for key, item in value.items()}

        return run

    return Shape(both(inner.dump), both(inner.load), f"{{{inner.text}}}")


def _record(cls: type) -> Shape:
    shapes = field_shapes(cls)

    def dump(value: Any) -> Any:
        if not isinstance(value, cls):
            raise ShapeError(f"{_brief(value)} is no {cls.__name__}")
        return dump_fields(shapes, value)

    def load(value: Any) -> Any:
        return cls(**load_fields(shapes, value))

    text = ", ".join(f"{name}: {shape.text}" for name, shape in shapes.items())
    return Shape(dump, load, f"({text})")


def dump_fields(shapes: Mapping[str, Shape], value: object) -> dict[str, Any]:
    """Dump each declared field of a dataclass instance.

    Raises:
        ShapeError: with the name of the field.
    """
    return {name: _at(name, shape.dump, getattr(value, name)) for name, shape in shapes.items()}


def load_fields(shapes: Mapping[str, Shape], data: Any) -> dict[str, Any]:
    """Load exactly the declared fields; one too many or too few is refused, never guessed.

    Raises:
        ShapeError: with the name of the field.
    """
    if not isinstance(data, dict):
        raise ShapeError(f"{_brief(data)} is no object")
    if data.keys() != shapes.keys():
        odd = sorted(data.keys() ^ shapes.keys())
        raise ShapeError(f"fields that are missing or unknown: {', '.join(odd)}")
    return {name: _at(name, shape.load, data[name]) for name, shape in shapes.items()}


def _plain(sequence: Callable[[Any], Any]) -> Convert:
    """Plain JSON as it comes; ``sequence`` is what an array becomes in this direction."""

    def convert(value: Any) -> Any:
        if isinstance(value, enum.Enum):
            return convert(value.value)
        if value is None or isinstance(value, str | int):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        if isinstance(value, tuple | list):
            return sequence(_at(index, convert, item) for index, item in enumerate(value))
        if isinstance(value, Mapping):
            return {_key(key): _at(key, convert, item) for key, item in value.items()}
        raise ShapeError(f"{_brief(value)} is not plain JSON")

    return convert


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ShapeError(f"the key {_brief(key)} is no str")
    return key


def _at(place: object, convert: Convert, value: Any) -> Any:
    try:
        return convert(value)
    except ShapeError as error:
        raise ShapeError(f"{place}: {error}") from None


def _brief(value: object) -> str:
    """Name the value by its type alone: it may be a secret that strayed."""
    return f"a {type(value).__name__}"
