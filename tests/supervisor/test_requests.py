"""What a supervisor is asked over its socket, however silly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest

from supervisor.lab import PATIENCE_S, Lab, shell


class TestSilly:
    """A connection can harm only itself."""

    @pytest.mark.parametrize(
        ("request_line", "answer"),
        [
            (b"nonsense\n", "a request is a JSON object with an 'op'"),
            (b"[1]\n", "a request is a JSON object with an 'op'"),
            (b"{}\n", "a request is a JSON object with an 'op'"),
            (b'{"op": "dance"}\n', "unknown request 'dance'"),
            (b'{"op": "signal"}\n', "unknown signal 'None'"),
            (b'{"op": "signal", "name": ["SIGKILL"]}\n', "unknown signal"),
            (b'{"op": {}}\n', "unknown request {}"),
        ],
    )
    def test_nonsense_is_answered(self, lab: Lab, request_line: bytes, answer: str) -> None:
        """With an error that names it; the connection goes on."""

        async def test() -> None:
            await lab.main(shell("exec sleep 30"))
            reader, writer = await asyncio.open_unix_connection(lab.socket)
            writer.write(request_line + b'{"op": "status"}\n')
            refused, status = json.loads(await reader.readline()), json.loads(await reader.readline())
            assert (refused["version"], refused["ok"]) == (1, False)
            assert answer in refused["error"]
            assert status["phase"] == "running"
            writer.transport.abort()

        lab.run(test())

    def test_an_endless_request_is_cut_off(self, lab: Lab) -> None:
        """It is not collected for ever."""

        async def test() -> None:
            await lab.main(shell("exec sleep 30"))
            reader, writer = await asyncio.open_unix_connection(lab.socket)
            writer.write(b"x" * 200_000)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.transport.abort()
            async with lab.client() as client:
                assert (await client.status()).phase == "running"

        lab.run(test())

    def test_one_that_does_not_read_is_cut_off(self, lab: Lab) -> None:
        """Its answers pile up to a bound; nobody else waits for it."""

        async def test() -> None:
            await lab.main(shell("exec sleep 30"))
            with socket.socket(socket.AF_UNIX) as deaf:
                deaf.setblocking(False)
                deaf.connect(str(lab.socket))
                async with asyncio.timeout(PATIENCE_S), lab.client() as client:
                    while not is_cut_off(deaf):
                        assert (await client.status()).phase == "running"

        def is_cut_off(deaf: socket.socket) -> bool:
            try:
                deaf.send(b'{"op": "status"}\n' * 500)
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            return False

        lab.run(test())
