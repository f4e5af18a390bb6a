"""The first real use: one try at a time, nobody's going away ends it, a failure is not tried in a circle."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jail_driver.activity import Activity
from jail_driver.engine import service
from jail_driver.engine.once import Once
from jail_driver.errors import UnavailableError
from jail_driver.model import Health


def test_all_who_ask_get_the_same() -> None:
    """It is made once, also where the first who asked is gone before it is."""

    async def scenario() -> None:
        made = 0

        async def make() -> int:
            nonlocal made
            await asyncio.sleep(0.01)
            made += 1
            return made

        once = Once(make)
        first = asyncio.ensure_future(once.get())
        others = [asyncio.ensure_future(once.get()) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.gather(*others) == [1, 1, 1]
        assert (await once.get(), once.made) == (1, 1)
        await once.close()
        assert once.made == 1

    asyncio.run(scenario())


def test_a_failure_is_tried_again() -> None:
    """By the next who asks, not by itself."""

    async def scenario() -> None:
        tries = 0

        async def make() -> int:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise UnavailableError("not yet")
            return tries

        once = Once(make)
        with pytest.raises(UnavailableError):
            await once.get()
        await asyncio.sleep(0.01)
        assert (tries, once.made) == (1, None)
        assert await once.get() == 2

    asyncio.run(scenario())


def test_the_end_of_a_try_cleans_up() -> None:
    """Who closes waits for it."""

    async def scenario() -> None:
        done: list[str] = []

        async def make() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                done.append("clean")

        once = Once(make)
        asking = asyncio.ensure_future(once.get())
        await asyncio.sleep(0)
        await once.close()
        assert done == ["clean"]
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(scenario())


def test_a_database_that_cannot_be_opened_is_not_tried_in_a_circle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fingerprint tells it and waits; the lock is free for whoever comes next."""
    tries = 0
    opened = service.open_node

    async def counted(*arguments: object) -> object:
        nonlocal tries
        tries += 1
        return await opened(*arguments)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(service, "open_node", counted)
    (tmp_path / "events.db").write_bytes(b"this is no database" * 100)

    async def scenario() -> None:
        driver = service.JailDriver(Activity())
        await driver.configure({"state_dir": str(tmp_path)}, real=False)
        seen = []

        async def listen() -> None:
            async for one in driver.fingerprints():
                seen.append(one)  # noqa: PERF401  # it is cancelled, and what came before counts

        listening = asyncio.create_task(listen())
        await asyncio.sleep(1)
        listening.cancel()
        assert [one.health for one in seen] == [Health.UNHEALTHY]
        assert "events.db" in seen[0].description
        assert tries == 1
        with pytest.raises(UnavailableError, match=r"events\.db"):
            await driver.inspect("t")
        await driver.close()

    asyncio.run(scenario())
