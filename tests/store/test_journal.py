"""The journal: many callers, one writer, few transactions; what fails, fails to its own caller."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from jail_state.store.errors import (
    ConcurrencyError,
    EncodeError,
    StoreClosedError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    UnavailableError,
)
from jail_state.store.memory import MemoryStore
from jail_state.store.port import Append
from jail_state.store.sqlite import open_store
from jail_state.store.writer import BATCH_MAX, Journal
from store.samples import add


class SlowStore(MemoryStore):
    """Counts the transactions, and holds each one until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.entered = threading.Event()
        self.gate = threading.Event()

    def commit(self, appends: Sequence[Append]) -> list[StoreError | None]:
        """Wait at the gate, then store."""
        self.entered.set()
        self.gate.wait(10)
        self.batches.append(len(appends))
        return super().commit(appends)


async def entered(store: SlowStore) -> None:
    """Wait until the journal's thread is in a transaction."""
    await asyncio.to_thread(store.entered.wait, 10)


class TestGrouping:
    """Concurrent appends share transactions."""

    def test_what_waits_is_stored_together(self) -> None:
        """One append is under way, a thousand follow in two more transactions."""
        store = SlowStore()

        async def run() -> None:
            journal = Journal(lambda: store)
            first = asyncio.create_task(journal.append(add("first", 0, "a")))
            await entered(store)
            others = [
                asyncio.create_task(journal.append(add(f"s{n}", 0, "a"))) for n in range(BATCH_MAX + 100)
            ]
            await asyncio.sleep(0)
            store.gate.set()
            await asyncio.gather(first, *others)
            await journal.close()

        asyncio.run(run())
        assert store.batches == [1, BATCH_MAX, 100]

    def test_the_order_of_the_calls_is_kept(self) -> None:
        """Appends to one stream need not wait for each other; a read sees what was submitted before it."""
        store = MemoryStore()

        async def run() -> None:
            journal = Journal(lambda: store)
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(journal.append(add("s", number, str(number))))
                read = group.create_task(journal.read("s", 10))
                closing = group.create_task(journal.close_stream("s", 7))
                live = group.create_task(journal.live())
                purged = group.create_task(journal.purge(8))
            assert [one.seq for one in read.result()] == list(range(11, 51))
            assert closing.done()
            assert live.result() == {}
            assert purged.result() == 1
            await journal.close()

        asyncio.run(run())

    def test_the_loop_goes_on_while_the_disk_is_slow(self) -> None:
        """One commit that hangs delays no other work of the loop."""
        store = SlowStore()

        async def run() -> None:
            journal = Journal(lambda: store)
            append = asyncio.create_task(journal.append(add("s", 0, "a")))
            await entered(store)
            for _ in range(1000):
                await asyncio.sleep(0)
            assert not append.done()
            store.gate.set()
            await append
            await journal.close()

        asyncio.run(run())


class TestFailures:
    """Each caller learns its own; the journal lives on."""

    def test_a_refusal_reaches_the_caller_that_earned_it(self) -> None:
        """Conflict and unstorable event; the third append is stored."""
        store = MemoryStore()

        async def run() -> None:
            journal = Journal(lambda: store)
            outcomes = await asyncio.gather(
                journal.append(add("s", 0, "a")),
                journal.append(add("s", 0, "b")),
                journal.append(add("\udc80", 0, "c")),
                journal.append(add("s", 1, "d")),
                return_exceptions=True,
            )
            assert [type(one) for one in outcomes] == [
                type(None),
                ConcurrencyError,
                EncodeError,
                type(None),
            ]
            assert journal.trouble is None
            await journal.close()

        asyncio.run(run())

    def test_a_full_disk_fails_all_and_heals(self) -> None:
        """Everyone in the transaction gets the reason; later appends work; the change is told once each way."""
        store = MemoryStore()
        told: list[UnavailableError | None] = []

        async def run() -> None:
            journal = Journal(lambda: store, on_trouble=told.append)
            store.failure = StoreFullError("events.db", "no space")
            outcomes = await asyncio.gather(
                *(journal.append(add(f"s{n}", 0, "a")) for n in range(5)), return_exceptions=True
            )
            assert outcomes == [store.failure] * 5
            with pytest.raises(StoreFullError):
                await journal.append(add("s", 0, "a"))
            assert journal.trouble is store.failure
            store.failure = None
            await journal.read("s")
            assert journal.trouble is not None, "a read says nothing about room on the disk"
            await journal.probe()
            assert journal.trouble is None
            await journal.append(add("s", 0, "a"))
            await journal.close()

        asyncio.run(run())
        assert [type(one) for one in told] == [StoreFullError, type(None)]

    def test_opening_is_tried_again(self, path: Path) -> None:
        """A state directory that is missing at first is no reason to restart the plugin."""
        home = path.parent
        home.rmdir()

        async def run() -> None:
            journal = Journal(lambda: open_store(path))
            with pytest.raises(UnavailableError):
                await journal.open()
            home.mkdir()
            await journal.open()
            await journal.append(add("s", 0, "a", durable=True))
            assert set(await journal.live()) == {"s"}
            assert journal.trouble is None
            await journal.close()

        asyncio.run(run())
        assert not path.with_name("events.db-wal").exists()

    def test_an_error_of_the_program_stops_nobody_else(self) -> None:
        """The question that raised gets its error back, as it is."""

        async def run() -> None:
            journal = Journal(MemoryStore)
            with pytest.raises(ZeroDivisionError):
                await journal.ask(lambda _: 1 // 0)
            await journal.append(add("s", 0, "a"))
            await journal.close()

        asyncio.run(run())

    def test_a_caller_that_went_away_changes_nothing(self) -> None:
        """Its append is stored, and the others are answered."""
        store = SlowStore()

        async def run() -> None:
            journal = Journal(lambda: store)
            first = asyncio.create_task(journal.append(add("s", 0, "a")))
            await entered(store)
            gone = asyncio.create_task(journal.append(add("s", 1, "b")))
            last = asyncio.create_task(journal.append(add("s", 2, "c")))
            await asyncio.sleep(0)
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone
            store.gate.set()
            await asyncio.gather(first, last)
            assert len(await journal.read("s")) == 3
            await journal.close()

        asyncio.run(run())


class TestTheEnd:
    """Closing finishes what was submitted."""

    def test_what_was_submitted_is_stored_first(self) -> None:
        """Then the store is closed, and later calls are refused."""
        store = SlowStore()

        async def run() -> None:
            journal = Journal(lambda: store)
            append = asyncio.create_task(journal.append(add("s", 0, "a")))
            await entered(store)
            closing = asyncio.create_task(journal.close())
            await asyncio.sleep(0)
            store.gate.set()
            await asyncio.gather(append, closing)
            with pytest.raises(StoreClosedError):
                await journal.append(add("s", 1, "b"))
            await journal.close()

        asyncio.run(run())
        with pytest.raises(StoreClosedError):
            store.heads()

    def test_a_journal_that_was_never_used(self) -> None:
        """It opened nothing, so it closes nothing."""

        def never() -> MemoryStore:
            raise AssertionError

        asyncio.run(Journal(never).close())

    def test_a_lock_of_another_process_is_trouble(self, path: Path) -> None:
        """With the real store: the second journal waits its time, then says why."""
        first = open_store(path)
        first.commit([add("s", 0, "a")])

        async def run() -> None:
            journal = Journal(lambda: open_store(path, busy_timeout_s=0.05))
            await journal.open()
            with first._transaction("BEGIN IMMEDIATE"), pytest.raises(StoreLockedError):
                await journal.append(add("s", 1, "b"))
            await journal.append(add("s", 1, "b"))
            await journal.close()

        asyncio.run(run())
        first.close()
