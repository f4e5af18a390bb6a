"""Events on paper: whatever was written can be read, by this version and every later one."""

import enum
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jail_state.core.events import EVENT_TYPES, Event, Recorded
from jail_state.core.ids import TaskId
from jail_state.store.codec import Codec, Row
from jail_state.store.errors import DecodeError, EncodeError
from store.strategies import EVENTS


class Colour(enum.Enum):
    """Two of them."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Part:
    """A record within an event."""

    size_bytes: int
    colour: Colour = Colour.RED


@dataclass(frozen=True, slots=True)
class Painted(Event):
    """An event at its second version: it once held one part, under another name."""

    name: ClassVar[str] = "painted"
    version: ClassVar[int] = 3

    parts: tuple[Part, ...] = ()
    ratio: float = 1.0
    done: bool = False
    by: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    more: Any = None


def from_first(data: dict[str, Any]) -> tuple[str, int, dict[str, Any]]:
    """Version 1 was called "coloured" and had one colour."""
    return "painted", 2, {"part": {"size_bytes": 0, "colour": data["colour"]}}


def from_second(data: dict[str, Any]) -> tuple[str, int, dict[str, Any]]:
    """Version 2 had one part and nothing else."""
    rest = {"ratio": 1, "done": True, "by": None, "sizes": {}, "more": None}
    return "painted", 3, {"parts": [data["part"]], **rest}


CODEC = Codec({"painted": Painted}, {("coloured", 1): from_first, ("painted", 2): from_second})


def row(data: object, name: str = "painted", version: int = 3) -> Row:
    """Make a stored row."""
    return Row("s", 1, 5, name, version, data if isinstance(data, str) else json.dumps(data))


FULL = {"parts": [], "ratio": 1, "done": False, "by": None, "sizes": {}, "more": None}


class TestRoundTrip:
    """What is written is read back equal."""

    @settings(max_examples=200, deadline=None)
    @given(EVENTS, st.integers(1, 2**31), st.integers(0, 2**63 - 1))
    def test_any_event_of_the_core(self, event: Event, seq: int, at_ns: int) -> None:
        """For every registered type and hostile text, through real JSON."""
        codec = Codec()
        stored = codec.encode("s", seq, at_ns, event)
        stored.data.encode("ascii")
        assert codec.decode(stored) == Recorded(TaskId("s"), seq, at_ns, event)

    def test_every_event_of_the_core_can_travel(self) -> None:
        """A field of a type that has no shape is found here, not by a task."""
        for event in EVENT_TYPES.values():
            assert Codec()._fields(event.name).keys() == {one.name for one in fields(event)}

    def test_a_list_comes_back_as_a_tuple(self) -> None:
        """Plain values are frozen too."""
        stored = CODEC.encode("s", 1, 5, Painted(more=[1, {"a": [2]}]))
        assert CODEC.decode(stored).event == Painted(more=(1, {"a": (2,)}))

    def test_the_stored_form_is_stable(self) -> None:
        """This text is on operators' disks."""
        event = Painted(parts=(Part(5, Colour.BLUE),), ratio=0.5, sizes={"é": 1})
        assert CODEC.encode("s", 1, 5, event) == Row(
            "s",
            1,
            5,
            "painted",
            3,
            '{"parts":[{"size_bytes":5,"colour":"blue"}],"ratio":0.5,"done":false,"by":null,'
            '"sizes":{"\\u00e9":1},"more":null}',
        )


class TestUpcasting:
    """Old rows are lifted, never rewritten."""

    def test_each_step_up_is_taken(self) -> None:
        """From a renamed first version through the second to the third."""
        lifted = Painted(parts=(Part(0, Colour.BLUE),), ratio=1, done=True)
        assert CODEC.decode(row({"colour": "blue"}, "coloured", 1)).event == lifted
        assert CODEC.decode(row({"part": {"size_bytes": 0, "colour": "blue"}}, version=2)).event == lifted

    @pytest.mark.parametrize(
        ("name", "version", "newer"), [("painted", 4, True), ("carved", 1, True), ("painted", 1, False)]
    )
    def test_what_nobody_can_lift_is_refused(self, name: str, version: int, newer: bool) -> None:  # noqa: FBT001
        """A newer event is told from one whose upcaster is missing."""
        with pytest.raises(DecodeError) as caught:
            CODEC.decode(row(FULL, name, version))
        assert (caught.value.name, caught.value.version, caught.value.newer) == (name, version, newer)


class TestRefusals:
    """Neither direction lets through what the other would not."""

    @pytest.mark.parametrize(
        ("event", "why"),
        [
            (Painted(parts=[]), "parts: a list is no tuple"),  # type: ignore[arg-type]
            (Painted(parts=(Part("5"),)), "parts: 0: size_bytes: a str is no int"),  # type: ignore[arg-type]
            (Painted(parts=(Part(True),)), "parts: 0: size_bytes: a bool is no int"),
            (Painted(parts=(Part(1, "red"),)), "parts: 0: colour: a str is no Colour"),  # type: ignore[arg-type]
            (Painted(parts=({},)), "parts: 0: a dict is no Part"),  # type: ignore[arg-type]
            (Painted(ratio=float("nan")), "ratio: a float is no float"),
            (Painted(ratio=True), "ratio: a bool is no float"),
            (Painted(done=1), "done: a int is no bool"),  # type: ignore[arg-type]
            (Painted(by=b"x"), "by: a bytes is no str"),  # type: ignore[arg-type]
            (Painted(sizes={1: 1}), "sizes: the key a int is no str"),  # type: ignore[dict-item]
            (Painted(sizes=()), "sizes: a tuple is no mapping"),  # type: ignore[arg-type]
            (Painted(more={"k": {5}}), "more: k: a set is not plain JSON"),
            (Painted(more=float("inf")), "more: a float is not plain JSON"),
        ],
    )
    def test_a_value_that_would_not_come_back(self, event: Painted, why: str) -> None:
        """The place is named, the value is not: it may be a secret that strayed."""
        with pytest.raises(EncodeError) as caught:
            CODEC.encode("s", 1, 5, event)
        assert caught.value.why == why

    def test_a_value_without_a_bottom(self) -> None:
        """A structure that holds itself is an error of the caller's, not a crash."""
        endless: list[Any] = []
        endless.append(endless)
        with pytest.raises(EncodeError, match="too deep"):
            CODEC.encode("s", 1, 5, Painted(more=endless))

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            ("", "Expecting value"),
            ("[]", "a list is no object"),
            ({}, "missing or unknown: by, done, more, parts, ratio, sizes"),
            ({**FULL, "extra": 1}, "missing or unknown: extra"),
            ({**FULL, "ratio": "1"}, "ratio: a str is no float"),
            ({**FULL, "parts": {}}, "parts: a dict is no list"),
            (
                {**FULL, "parts": [{"size_bytes": 1, "colour": "green"}]},
                "parts: 0: colour: a str is no Colour",
            ),
            ({**FULL, "parts": [{"size_bytes": 1}]}, "parts: 0: fields that are missing or unknown: colour"),
            ('{"ratio": NaN}', "missing or unknown"),
            ("[" * 100_000, "recursion"),
        ],
    )
    def test_a_stored_row_that_does_not_fit(self, data: object, why: str) -> None:
        """Never guessed: a missing field has no default on the disk."""
        with pytest.raises(DecodeError, match=why) as caught:
            CODEC.decode(row(data))
        assert not caught.value.newer

    @settings(max_examples=100, deadline=None)
    @given(
        st.text(max_size=30)
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=4),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(FULL)), inner),
        ).map(json.dumps)
    )
    def test_noise_is_refused_with_our_own_error(self, data: str) -> None:
        """Whatever stands in the column: an event, or a DecodeError."""
        with suppress(DecodeError):
            assert isinstance(CODEC.decode(row(data)).event, Painted)

    def test_a_field_that_cannot_travel_is_an_error_of_the_program(self) -> None:
        """Found when the type is first used."""

        @dataclass(frozen=True, slots=True)
        class Odd(Event):
            name: ClassVar[str] = "odd"
            things: set[str] = field(default_factory=set)

        with pytest.raises(TypeError, match="cannot be a field"):
            Codec({"odd": Odd}).encode("s", 1, 5, Odd())
