"""Listings that many ask for at once: few commands, and never an answer older than its question."""

from __future__ import annotations

import asyncio

import pytest

from jail_driver.host.shell import Listing


class Slow:
    """A listing that can be held up; each one tells which it was."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.began = asyncio.Event()

    async def fetch(self) -> int:
        """Returns how many listings had begun when this one began."""
        self.begun += 1
        self.began.set()
        number = self.begun
        await self.go.wait()
        return number


def test_askers_at_once_share_one() -> None:
    """A thousand actors that ask at once cost one command."""

    async def scenario() -> tuple[set[int], int]:
        slow = Slow()
        slow.go.set()
        listing = Listing(slow.fetch)
        return set(await asyncio.gather(*(listing.get() for _ in range(1000)))), slow.begun

    assert asyncio.run(scenario()) == ({1}, 1)


def test_the_next_loop_asks_anew() -> None:
    """A listing that ended on a loop which is closed by now holds up nobody."""
    slow = Slow()
    slow.go.set()
    listing = Listing(slow.fetch)
    assert [asyncio.run(listing.get()), asyncio.run(listing.get())] == [1, 2]


def test_an_answer_never_began_before_its_question() -> None:
    """Whoever asks during a listing gets the next one, shared with all who asked meanwhile."""

    async def scenario() -> tuple[int, list[int], int]:
        slow = Slow()
        listing = Listing(slow.fetch)
        first = asyncio.create_task(listing.get())
        await slow.began.wait()
        late = [asyncio.create_task(listing.get()) for _ in range(5)]
        await asyncio.sleep(0.01)
        slow.go.set()
        return await first, await asyncio.gather(*late), slow.begun

    assert asyncio.run(scenario()) == (1, [2] * 5, 2)


def test_a_cancelled_asker_takes_nothing_from_the_others() -> None:
    """One task that is stopped does not fail another's recovery."""

    async def scenario() -> int:
        slow = Slow()
        listing = Listing(slow.fetch)
        leaver = asyncio.create_task(listing.get())
        stayer = asyncio.create_task(listing.get())
        await asyncio.sleep(0.01)
        leaver.cancel()
        slow.go.set()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        return await stayer

    assert asyncio.run(scenario()) == 1


def test_a_failure_reaches_every_asker_and_is_forgotten() -> None:
    """A failed listing fails those who asked for it, and no later one."""

    async def scenario() -> tuple[list[object], str]:
        outcomes: list[Exception | str] = [OSError("first"), "second"]

        async def fetch() -> str:
            outcome = outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        listing = Listing(fetch)
        failed = await asyncio.gather(listing.get(), listing.get(), return_exceptions=True)
        return [str(failure) for failure in failed], await listing.get()

    assert asyncio.run(scenario()) == (["first", "first"], "second")
