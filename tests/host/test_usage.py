"""What ps(1), rctl(8) and FreeBSD's system calls say about usage, as recorded or laid out by the headers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from jail_driver.host import usage_native, usage_parse
from jail_driver.host.errors import HostError
from jail_driver.host.usage_parse import ProcessUsage

PS = b"""\
    0     0   0     288   0:00.00   0:00.12   0:00.12
  816     1   3    3248   0:01.25   0:00.25   0:04.00
12816   816  17 1048576 125:00.50   1:00.00 126:00.50
"""


class TestCommands:
    """Text in, numbers out."""

    def test_ps(self) -> None:
        """Seven columns; memory in KiB, times in minutes and hundredths."""
        assert usage_parse.processes(PS)[1:] == (
            ProcessUsage(816, 1, 3, 3248 * 1024, 1.25, 0.25, 4.0),
            ProcessUsage(12816, 816, 17, 1 << 30, 7500.5, 60.0, 7560.5),
        )
        assert usage_parse.processes(PS)[1].children_s == pytest.approx(2.5)

    @pytest.mark.parametrize("output", [b"PID PPID\n", b"1 2 3\n", b"a b c d e f g\n"])
    def test_not_ps(self, output: bytes) -> None:
        """An answer of another shape is an error, not zeros."""
        with pytest.raises(HostError, match="output of ps"):
            usage_parse.processes(output)

    def test_rctl_of_several_jails(self) -> None:
        """Blocks follow the filters' order; nothing else says whose they are."""
        output = b"cputime=0\nmemoryuse=4096\npcpu=0\ncputime=7\nmemoryuse=8192\npcpu=100\n"
        assert usage_parse.counters(output, ["a", "b"]) == {
            "a": {"cputime": 0, "memoryuse": 4096, "pcpu": 0},
            "b": {"cputime": 7, "memoryuse": 8192, "pcpu": 100},
        }

    def test_an_answer_short_of_one(self) -> None:
        """Better no figures than somebody else's."""
        assert usage_parse.counters(b"cputime=0\n", ["a", "b"]) == {}


def kinfo(pid: int, jid: int, **times: tuple[int, int]) -> bytes:
    """One struct kinfo_proc of 64-bit FreeBSD, field by field as sys/user.h has them."""
    whole = bytearray(1088)
    struct.pack_into("=ii", whole, 0, 1088, 0)
    struct.pack_into("=ii", whole, 72, pid, 1)
    struct.pack_into("=Qq", whole, 256, 1 << 30, 100)
    struct.pack_into("=Q", whole, 328, 3_500_000)
    struct.pack_into("=i", whole, 592, jid)
    for at, name in ((352, "children"), (608, "user"), (624, "system")):
        struct.pack_into("=qq", whole, at, *times.get(name, (0, 0)))
    return bytes(whole)


class FakeLibc:
    """FreeBSD's C library, as far as it is used: grows between the two calls of sysctl(3) once."""

    def __init__(self, listing: bytes, counters: Mapping[bytes, bytes]) -> None:
        self._listing = listing
        self._counters = counters
        self.names: list[list[int]] = []

    def sysctl(self, name: Any, _count: Any, buffer: Any, size: Any, _new: Any, _length: int) -> int:
        """The call of the manual, section 3."""
        self.names.append(list(name))
        if buffer is not None:
            buffer[: len(self._listing)] = self._listing
        size._obj.value = len(self._listing)
        return 0

    def rctl_get_racct(self, question: bytes, _length: Any, buffer: Any, _size: Any) -> int:
        """The call of the manual, section 2."""
        answer = self._counters.get(question)
        if answer is None:
            return -1
        buffer[: len(answer)] = answer
        return 0


class TestCalls:
    """Structures in, numbers out."""

    def test_processes(self) -> None:
        """Pages, microseconds and time values become bytes and seconds."""
        listing = kinfo(7, 3, children=(2, 500_000), user=(3, 0), system=(0, 500_000)) + kinfo(8, 0)
        native = usage_native.NativeUsage(FakeLibc(listing, {}))
        first, second = native.processes()
        assert first == ProcessUsage(7, 1, 3, first.rss_bytes, 3.0, 0.5, 6.0)
        assert usage_native.parse(listing, 4096)[0].rss_bytes == 409_600
        assert (second.pid, second.jid) == (8, 0)

    def test_another_layout(self) -> None:
        """A kernel with another structure is refused, never misread."""
        with pytest.raises(HostError, match="another size"):
            usage_native.parse(struct.pack("=i", 1096) + bytes(1092), 4096)

    def test_counters(self) -> None:
        """One line of text, by the jail's name."""
        libc = FakeLibc(b"", {b"jail:web\0": b"cputime=12,memoryuse=4096,swapuse=100,\0"})
        native = usage_native.NativeUsage(libc)
        assert native.counters("web") == {"cputime": 12, "memoryuse": 4096, "swapuse": 100}
        assert native.counters("off") == {}

    def test_only_where_they_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A C library without rctl(8)'s calls is not asked."""
        monkeypatch.setattr("ctypes.CDLL", lambda *_args, **_kwargs: SimpleNamespace(sysctl=None))
        assert usage_native.load() is None
