"""The environment that an order names, told to whichever plugin asks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from jail_driver.supervisor.client import SupervisorClient
from supervisor.lab import Lab, command


def test_it_is_given_back_whole(lab: Lab) -> None:
    """Also a megabyte of it, and bytes that are no UTF-8; no file of the supervisor holds it."""
    environment = {"SECRET": "s3cret", "BIG": "x" * (1 << 20), "ODD": "a\udcffb\n'\""}

    async def test() -> None:
        await lab.main(command("/bin/sleep", "60"), environment=environment)
        async with lab.client() as client:
            assert await client.environment() == environment
            assert (await client.status()).phase == "running"

    lab.run(test())
    for file in lab.sup_dir.iterdir():
        assert b"s3cret" not in file.read_bytes()


def test_an_order_without_one(lab: Lab) -> None:
    """It is none, not an empty one."""

    async def test() -> None:
        await lab.main(command("/bin/sleep", "60"))
        async with lab.client() as client:
            assert await client.environment() is None

    lab.run(test())


def test_an_older_supervisor(tmp_path: Path) -> None:
    """One that does not know the request keeps none."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            watch = json.loads(line)["op"] == "watch"
            reply = {"ok": True} if watch else {"ok": False, "error": "unknown request 'environment'"}
            writer.write(json.dumps({"version": 1, **reply}).encode() + b"\n")
        writer.close()

    async def test() -> None:
        path = tmp_path / "s"
        server = await asyncio.start_unix_server(answer, path)
        async with SupervisorClient(path) as client:
            assert await client.environment() is None
        server.close()
        await asyncio.sleep(0)

    asyncio.run(test())
