"""Any event that the core can make, as hypothesis strategies read from the types of its fields."""

import enum
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from jail_state.core.events import EVENT_TYPES, Event

TEXT = st.text(max_size=8) | st.sampled_from(["", "\x00", "\udc80", "\n'\"\\", "日本", "{}"])
INTEGERS = st.integers(-(2**63), 2**63) | st.sampled_from([0, 1, -1, 2**200])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=2).map(tuple) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=5,
)
SCALARS = {
    str: TEXT,
    int: INTEGERS,
    float: FLOATS | INTEGERS | st.just(10**400),
    bool: st.booleans(),
    Any: PLAIN,
}


def of(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a field's type."""
    if isinstance(hint, NewType):
        return of(hint.__supertype__)
    if hint in SCALARS:
        return SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from(list(hint))
    return record(hint) if isinstance(hint, type) and is_dataclass(hint) else generic(hint)


def generic(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of an optional type, a tuple or a mapping."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return st.one_of(*(st.none() if arg is type(None) else of(arg) for arg in args))
    if origin is tuple:
        return st.lists(of(args[0]), max_size=3).map(tuple)
    assert issubclass(origin, Mapping)
    return st.dictionaries(TEXT, of(args[1]), max_size=3)


def record(cls: type) -> st.SearchStrategy[Any]:
    """Return instances of a dataclass."""
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: of(hints[field.name]) for field in fields(cls)})


EVENTS: st.SearchStrategy[Event] = st.sampled_from(sorted(EVENT_TYPES)).flatmap(
    lambda name: record(EVENT_TYPES[name])
)
