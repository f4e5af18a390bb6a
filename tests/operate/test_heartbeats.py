"""A caller that the agent does not miss: its heartbeats have stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jail_driver.engine.exec_pumps import converse
from jail_driver.errors import DriverError
from jail_driver.host.session import Session


class Caller:
    """Sends some requests, and then nothing for ever."""

    def __init__(self, *requests: tuple[float, Mapping[str, Any]]) -> None:
        self._requests = requests
        self.heard = bytearray()

    async def requests(self) -> AsyncIterator[Mapping[str, Any]]:
        """Each after its pause."""
        for pause_s, request in self._requests:
            await asyncio.sleep(pause_s)
            yield request
        await asyncio.Event().wait()

    async def send(self, _stream: str, data: bytes, *, close: bool = False) -> None:  # noqa: ARG002
        """Keeps what is said."""
        self.heard += data


BEAT = {"heartbeat": True}


def talk(folder: Path, caller: Caller, *argv: str) -> int:
    """Runs a command of this host for a caller; its status."""

    async def scenario() -> int:
        session = Session(argv, {"PATH": "/usr/bin:/bin"}, folder / "record", tty=False)
        try:
            await converse(session, caller, silence_s=0.6)
            return await session.wait()
        finally:
            await session.end()
            assert session.has_ended
            assert not (folder / "record").exists()

    return asyncio.run(asyncio.wait_for(scenario(), 20))


def test_no_more_heartbeats(tmp_path: Path) -> None:
    """The command is ended, however long it would have been silent."""
    with pytest.raises(DriverError, match="has not been heard of"):
        talk(tmp_path, Caller((0, BEAT)), "/bin/sleep", "60")


def test_heartbeats_keep_a_silent_command_alive(tmp_path: Path) -> None:
    """As long as they come, nothing is ended; input counts as much."""
    caller = Caller(*[(0.3, BEAT)] * 3, (0.3, {"stdin": b"x"}))
    assert talk(tmp_path, caller, "/bin/sleep", "1.5") == 0


def test_a_caller_without_heartbeats(tmp_path: Path) -> None:
    """Whoever never sent one may be silent for as long as it likes."""
    assert talk(tmp_path, Caller((0, {"stdin": b"x"})), "/bin/sleep", "1.2") == 0
