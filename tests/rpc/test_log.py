"""Log lines: hclog's form whatever is logged, and sinks that swallow every failure."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jail_driver import log, logsink

READER_LIMIT = 64 * 1024
"""Bytes: go-plugin's buffer for one line (client.go)."""


class Unprintable:
    """A value whose text cannot be had."""

    def __str__(self) -> str:
        """Fail."""
        raise ValueError("no")


class Kept:
    """A sink that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.dropped = 0

    def write(self, line: bytes) -> None:
        """Keep one line."""
        self.lines.append(line)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """What is written to stderr."""
    sink = Kept()
    monkeypatch.setattr(log._output, "pipe", sink)
    monkeypatch.setattr(log._output, "file", None)
    return sink


def test_a_line_is_hclogs(kept: Kept) -> None:
    """Level, text, module and a time with exactly six digits: Go's parser takes nothing else."""
    log.get("engine").warning("jail is gone", jail="web-1", jid=7, tags=["a", None])
    line = json.loads(kept.lines[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("@timestamp"))
    assert line == {
        "@level": "warn",
        "@message": "jail is gone",
        "@module": "engine",
        "jail": "web-1",
        "jid": 7,
        "tags": ["a", None],
    }


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.just(Unprintable()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(message=anything, fields=st.dictionaries(st.text(), anything))
def test_no_value_breaks_a_line(message: Any, fields: dict[str, Any]) -> None:
    """A ``@message`` that is not text would be a panic in the agent, so no value may spoil a line."""
    text = log._render(None, "info", {**fields, "event": message, "module": "m"})
    line = json.loads(text, parse_constant=lambda name: pytest.fail(f"Go's JSON has no {name}"))
    heads = {key: line[key] for key in ("@level", "@message", "@module", "@timestamp")}
    assert all(isinstance(value, str) for value in heads.values())
    assert "\n" not in text
    assert len(text.encode()) < READER_LIMIT


def test_a_huge_line_keeps_its_message(kept: Kept) -> None:
    """A line longer than go-plugin's buffer would lose its level: its fields are left out instead."""
    log.get("x").info("big", **{f"field{n}": "v" * 4000 for n in range(20)})
    line = json.loads(kept.lines[0])
    assert (line["@message"], line["fields"]) == ("big", "left out: too long")


def test_the_context_is_bound(kept: Kept) -> None:
    """A bound field is in every line of the context and of the tasks made in it, and in no other."""

    async def inner() -> None:
        log.get("x").info("inside")

    async def scenario() -> None:
        with log.bound(task_id="a/b/1"):
            task = asyncio.create_task(inner())
        log.get("x").info("outside")
        await task

    asyncio.run(scenario())
    found = {line["@message"]: line.get("task_id") for line in map(json.loads, kept.lines)}
    assert found == {"outside": None, "inside": "a/b/1"}


def test_the_standard_librarys_records_pass(kept: Kept) -> None:
    """The own lines of asyncio and SQLAlchemy arrive; a stream that its caller cut short is no error."""
    bridge = log._Bridge()
    bridge.emit(logging.LogRecord("sqlalchemy", logging.WARNING, "f", 1, "slow %s", ("disk",), None))
    cut = asyncio.CancelledError()
    bridge.emit(logging.LogRecord("grpc", logging.ERROR, "f", 1, "x", (), (type(cut), cut, None)))
    bridge.emit(logging.LogRecord("bad", logging.ERROR, "f", 1, "%d", ("text",), None))
    line = json.loads(kept.lines[0])
    assert (line["@level"], line["@module"], line["@message"]) == ("warn", "sqlalchemy", "slow disk")
    assert len(kept.lines) == 1


class TestPipeSink:
    """The agent's pipe."""

    def test_a_full_pipe_drops_whole_lines(self) -> None:
        """Lines never mix: the rest of one that was begun is written before the next."""
        read, write = os.pipe()
        sink = logsink.PipeSink(write)
        for number in range(4000):
            sink.write(f"{number:05}".encode() * 20 + b"\n")
        assert sink.dropped > 0
        data = os.read(read, 1 << 20)
        sink.write(b"after\n")
        data += os.read(read, 1 << 20)
        lines = data.split(b"\n")
        assert lines[-2:] == [b"after", b""]
        assert all(line == line[:5] * 20 for line in lines[:-2])
        os.close(read)
        os.close(write)

    def test_a_line_larger_than_the_room_is_finished_later(self) -> None:
        """A line that began goes on when there is room again, before any other."""
        read, write = os.pipe()
        sink = logsink.PipeSink(write)
        long = b"x" * 100_000 + b"\n"
        sink.write(long)
        sink.write(b"dropped\n")
        data = os.read(read, 1 << 20)
        sink.write(b"after\n")
        data += os.read(read, 1 << 20)
        assert data == long + b"after\n"
        assert sink.dropped == 1
        os.close(read)
        os.close(write)

    def test_a_dead_pipe_is_left_alone(self) -> None:
        """EPIPE is noticed once, and never raised."""
        read, write = os.pipe()
        sink = logsink.PipeSink(write)
        os.close(read)
        sink.write(b"a\n")
        assert sink.dead
        os.close(write)
        sink.write(b"b\n")


class TestFileSink:
    """The file in the state directory."""

    def test_rotation(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file is renamed at its size, the oldest goes, nothing is lost between; 0600 all."""
        monkeypatch.setattr(logsink, "ROTATE_AT_BYTES", 100)
        sink = logsink.FileSink(tmp_path / "plugin.log")
        for number in range(70):
            sink.write(f"{number:09}\n".encode())
        names = [f"plugin.log.{n}" for n in range(5, 0, -1)] + ["plugin.log"]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
        kept_lines = "".join((tmp_path / name).read_text() for name in names).split()
        assert [int(line) for line in kept_lines] == list(range(10, 70))
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
        sink.close()

    def test_two_writers_share_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A plugin that hands over and its successor rotate one file without losing lines to a renamed one."""
        monkeypatch.setattr(logsink, "ROTATE_AT_BYTES", 100)
        sinks = [logsink.FileSink(tmp_path / "plugin.log") for _ in range(2)]
        for number in range(50):
            sinks[number % 2].write(f"{number:09}\n".encode())
        found = "".join(path.read_text() for path in tmp_path.iterdir()).split()
        assert sorted(int(line) for line in found) == list(range(50))
        for sink in sinks:
            sink.close()

    def test_a_removed_file_comes_back(self, tmp_path: Path) -> None:
        """An operator or newsyslog may take the file away."""
        path = tmp_path / "plugin.log"
        sink = logsink.FileSink(path)
        sink.write(b"one\n")
        path.unlink()
        sink.write(b"two\n")
        assert path.read_text() == "two\n"
        sink.close()

    def test_failures_are_swallowed(self, tmp_path: Path) -> None:
        """A full disk, a missing directory and a symbolic link in the file's place lose the line alone."""
        full = logsink.FileSink(Path("/dev/full"))
        full.write(b"lost\n")
        missing = logsink.FileSink(tmp_path / "no" / "plugin.log")
        missing.write(b"lost\n")
        (tmp_path / "no").mkdir()
        missing.write(b"kept\n")
        assert (tmp_path / "no/plugin.log").read_text() == "kept\n"
        (tmp_path / "target").touch()
        (tmp_path / "link").symlink_to(tmp_path / "target")
        linked = logsink.FileSink(tmp_path / "link")
        linked.write(b"lost\n")
        assert (tmp_path / "target").read_text() == ""
        missing.close()


def test_attach_file_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be made does not stop the plugin."""
    monkeypatch.setattr(log._output, "pipe", None)
    monkeypatch.setattr(log._output, "file", None)
    (tmp_path / "file").touch()
    log.attach_file(tmp_path / "file" / "log")
    log.get("x").info("goes nowhere")
