"""What the kernel tells of matched limits: devd's lines, its socket, and losing it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from jail_driver.host.devd import KernelEvents, RuleMatched, parse_event

# Recorded on FreeBSD 15.1 from /dev/devctl.
RECORDED = (
    "!system=RCTL subsystem=rule type=matched rule=jail:o1:memoryuse:devctl=20971520 pid=267 ruid=0 jail=o1"
)
MATCHED = RuleMatched("o1", "memoryuse", "devctl", 20971520, "jail", 267)


class TestLines:
    """One line, one match or none."""

    def test_recorded(self) -> None:
        """The kernel's own line."""
        assert parse_event(RECORDED) == MATCHED

    def test_per(self) -> None:
        """A rule for each process is told apart from one for the jail."""
        line = RECORDED.replace("20971520 ", "20971520/process ")
        assert parse_event(line) == RuleMatched("o1", "memoryuse", "devctl", 20971520, "process", 267)

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "!system=IFNET subsystem=em0 type=LINK_UP",
            RECORDED.replace("rule=jail:", "rule=user:"),
            RECORDED.replace("20971520", "x"),
            f"+{RECORDED}",
        ],
    )
    def test_something_else(self, line: str) -> None:
        """Other events, other subjects and broken lines are passed over."""
        assert parse_event(line) is None

    def test_a_jail_inside_a_jail_cannot_speak_for_another(self) -> None:
        """The process's jail, whose name its root may have chosen, comes last and is not read."""
        forged = "o1 rule=jail:web:memoryuse:devctl=1 pid=1 ruid=0 jail=web"
        assert parse_event(RECORDED.replace("jail=o1", f"jail={forged}")) == MATCHED


class Devd:
    """Stands where devd does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(path))
        self.listener.listen(4)
        self.listener.settimeout(5)

    def accept(self) -> socket.socket:
        """Returns the connection of who listens."""
        return self.listener.accept()[0]

    def close(self) -> None:
        """Ends, as a stopped daemon."""
        self.listener.close()
        self.path.unlink(missing_ok=True)


@pytest.fixture
def path() -> Iterator[Path]:
    """A short path for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory, "devd")


class Heard:
    """A listener and what it heard."""

    def __init__(self, path: Path, *, device: bool = False) -> None:
        self.matches: list[RuleMatched] = []
        self.changes: list[bool] = []
        self.wanted = True
        self.events = KernelEvents(
            str(path),
            device=device,
            on_match=self.matches.append,
            on_change=lambda *, connected: self.changes.append(connected),
            wanted=lambda: self.wanted,
        )


async def eventually(look: Callable[[], bool]) -> None:
    """Lets the loop run until something is so."""
    for _ in range(500):
        if look():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Runs a scenario on a loop of its own."""

    async def inner() -> None:
        await scenario()

    asyncio.run(inner())


class TestListening:
    """The connection."""

    def test_matches_are_heard(self, path: Path) -> None:
        """Each line of a packet, in order; connecting twice is connecting once."""

        async def scenario() -> None:
            devd, heard = Devd(path), Heard(path)
            assert heard.events.listen()
            assert heard.events.listen()
            connection = devd.accept()
            connection.send(f"!system=ZFS subsystem=x type=y\n{RECORDED}\n".encode())
            connection.send(f"{RECORDED}\n".encode())
            await eventually(lambda: len(heard.matches) == 2)
            assert heard.matches == [MATCHED, MATCHED]
            assert heard.events.why_not == ""
            assert heard.changes == [True]
            heard.events.close()
            connection.close()
            devd.close()

        run(scenario)

    def test_a_device_that_heeds_only_fionbio(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """/dev/devctl blocks whoever opened it non-blocking: after its last line the loop must go on."""
        ours, theirs = os.pipe()  # a blocking one, whatever it is opened with
        monkeypatch.setattr(os, "open", lambda *_args: ours)

        async def scenario() -> None:
            heard = Heard(path, device=True)
            assert heard.events.listen()
            os.write(theirs, f"{RECORDED}\n".encode())
            await eventually(lambda: heard.matches == [MATCHED])
            heard.events.close()

        # Were it to block, this would be the end of the reading that blocks.
        rescue = threading.Timer(10, os.close, (theirs,))
        rescue.start()
        run(scenario)
        assert rescue.is_alive()
        rescue.cancel()
        os.close(theirs)

    def test_nobody_is_there(self, path: Path) -> None:
        """Without devd it says why, and does not fail."""

        async def scenario() -> None:
            heard = Heard(path)
            assert not heard.events.listen()
            assert heard.events.why_not == f"{path}: No such file or directory"
            heard.events.close()

        run(scenario)

    @pytest.mark.parametrize(
        ("code", "why"),
        [(errno.EBUSY, "another program reads it"), (errno.EPERM, "Operation not permitted")],
    )
    def test_both_ways_are_shut(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, code: int, why: str
    ) -> None:
        """One process at a time may open /dev/devctl (kern_devctl.c, devopen): each way has its own reason."""

        def refuse(*_args: object) -> int:
            raise OSError(code, os.strerror(code))

        async def scenario() -> None:
            heard = Heard(path, device=True)
            monkeypatch.setattr(os, "open", refuse)
            assert not heard.events.listen()
            assert heard.events.why_not == f"{path}: No such file or directory; /dev/devctl: {why}"
            heard.events.close()

        run(scenario)

    def test_a_lost_connection_is_made_again(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A restarted devd: whoever listens is told of the gap, and hears the new one."""
        monkeypatch.setattr("jail_driver.host.devd._AGAIN_S", 0.05)

        async def scenario() -> None:
            devd, heard = Devd(path), Heard(path)
            heard.events.listen()
            devd.accept().close()
            devd.close()
            await eventually(lambda: heard.changes[-1] is False)
            again = Devd(path)
            await eventually(lambda: heard.changes[-1] is True)
            connection = again.accept()
            connection.send(f"{RECORDED}\n".encode())
            await eventually(lambda: heard.matches == [MATCHED])
            heard.events.close()
            connection.close()
            again.close()

        run(scenario)

    def test_not_longer_than_wanted(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the last task that has such a rule the trying ends."""
        monkeypatch.setattr("jail_driver.host.devd._AGAIN_S", 0.05)

        async def scenario() -> None:
            devd, heard = Devd(path), Heard(path)
            heard.events.listen()
            heard.wanted = False
            devd.accept().close()
            await eventually(lambda: heard.changes == [True, False])
            await asyncio.sleep(0.2)
            assert heard.changes == [True, False]
            devd.close()

        run(scenario)
