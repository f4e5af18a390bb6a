"""The translation, alone: what goes out comes back, and no bytes from outside break it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jail_driver import errors, hclspec, model
from jail_driver.agent import decode, encode
from jail_driver.errors import ConfigError
from jail_driver.plugin.pb import driver_pb2, hclspec_pb2
from jail_driver.rpc import answers, convert, schema, status
from plugin_client import sample_task

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalar = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | text
value = st.recursive(scalar, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=10)
int64 = st.integers(0, 2**40)


@given(config=st.dictionaries(text, value))
def test_a_task_comes_back(config: dict[str, Any]) -> None:
    """What an agent sends about a task is what the service gets, every field of it."""
    spec = replace(sample_task(), config=config)
    assert convert.task_spec(encode.task_config(spec)) == spec


@given(st.binary())
def test_any_bytes_are_a_map_or_a_refusal(raw: bytes) -> None:
    """The config block is outside input: a map with text keys, or ConfigError."""
    try:
        found = convert.config_map(raw, "config")
    except ConfigError:
        return
    assert all(isinstance(key, str) for key in found)


@pytest.mark.parametrize("raw", [b"", b"\xc0", b"\x80"])
def test_an_empty_block_is_an_empty_map(raw: bytes) -> None:
    """No bytes, nil and an empty map say the same."""
    assert convert.config_map(raw, "config") == {}


def test_text_that_is_not_utf8_is_kept() -> None:
    """A path may hold any byte: it arrives as Python writes such paths."""
    raw = msgpack.packb({"Path": b"/a\xff"}, use_bin_type=False)
    assert convert.config_map(raw, "config") == {"Path": "/a\udcff"}


specs = st.deferred(
    lambda: (
        st.builds(hclspec.Attr, text, text, st.booleans())
        | st.builds(hclspec.BlockAttrs, text, text, st.booleans())
        | st.builds(hclspec.Literal, text)
        | st.builds(hclspec.Block, text, specs, st.booleans())
        | st.builds(hclspec.BlockList, text, specs, st.integers(0, 9))
        | st.builds(hclspec.Default, specs, specs)
        | st.builds(hclspec.Object, st.dictionaries(text, specs, max_size=3))
    )
)


@given(specs)
def test_a_schema_comes_back(spec: hclspec.Spec) -> None:
    """Each kind of spec survives the wire."""
    wire = hclspec_pb2.Spec.FromString(schema.to_proto(spec).SerializeToString())
    assert decode.schema(wire) == spec


def test_a_foreign_schema_is_named() -> None:
    """A kind that no driver of ours uses is an error, not a guess."""
    with pytest.raises(ValueError, match="block_map"):
        decode.schema(hclspec_pb2.Spec(block_map=hclspec_pb2.BlockMap(name="x")))


@given(st.none() | st.integers(0, 2**62))
def test_times_come_back(at_ns: int | None) -> None:
    """Nanoseconds are kept; "not yet" is its own value."""
    given_status = model.TaskStatus(
        "i", "n", model.HandleState.EXITED, at_ns, None, model.ExitResult(1), {"a": "b"}
    )
    assert decode.status(answers.status(given_status)) == given_status


@given(st.booleans() | st.integers() | st.floats(allow_nan=False) | text)
def test_attributes_keep_their_type(given_value: bool | float | str) -> None:  # noqa: FBT001  # a value
    """A node attribute stays what it was; only a whole number beyond 64 bits becomes text."""
    found = decode.attribute(answers.attribute(model.Attribute(given_value, "MiB")))
    beyond = isinstance(given_value, int) and not -(2**63) <= given_value < 2**63
    expected: object = str(given_value) if beyond else given_value
    assert (found.value, type(found.value), found.unit) == (expected, type(expected), "MiB")


@given(st.floats(0, 1e6))
def test_durations_come_back(seconds: float) -> None:
    """A time-out keeps its nanoseconds."""
    assert convert.seconds(encode.duration(seconds)) == pytest.approx(seconds, abs=1e-9)


def test_an_unknown_state_is_unknown() -> None:
    """A handle of a newer Nomad may hold a state that we do not know."""
    wire = driver_pb2.TaskHandle.FromString(
        driver_pb2.TaskHandle(version=1).SerializeToString() + b"\x18\x63"
    )
    assert convert.handle(wire) == model.Handle(1, model.HandleState.UNKNOWN, b"", None)


class TestStatus:
    """The error table."""

    def test_every_error_has_a_row(self) -> None:
        """Each class of the driver's errors is answered on purpose, none by the rows for the rest."""
        kinds = {kind for kind, _ in status.TABLE}
        assert set(errors.DriverError.__subclasses__()) - _foreign() <= kinds

    def test_nothing_looks_like_a_dead_plugin(self) -> None:
        """UNAVAILABLE and CANCELLED tell Nomad that the plugin died."""
        codes = {verdict.code for _, verdict in status.TABLE}
        assert not codes & {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.OK}

    def test_a_subclass_takes_its_parents_row(self) -> None:
        """A finer error of some part needs no row of its own."""

        class BusyError(errors.HostError):
            """A mount point in use."""

        verdict = status.verdict(BusyError("umount /x", "Device busy"))
        assert verdict == status.Verdict(grpc.StatusCode.ABORTED, recoverable=True)

    @pytest.mark.parametrize("recoverable", [True, False])
    def test_a_start_error_speaks_for_itself(self, *, recoverable: bool) -> None:
        """Whether a start may be tried again is the engine's to say."""
        assert status.verdict(errors.StartError("x", recoverable=recoverable)).recoverable is recoverable


def _foreign() -> set[type]:
    """Errors of the agent's side and of parts that never cross the RPC layer."""
    return {kind for kind in errors.DriverError.__subclasses__() if kind.__module__ != "jail_driver.errors"}
