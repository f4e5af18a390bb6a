"""An actor and a store that says no to what it has stored."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from core_builders import planned
from jail_driver.engine.actor import TaskActor
from jail_driver.engine.faults import Faults
from jail_driver.engine.feed import Feed
from jail_driver.engine.stepping import conclude
from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.ids import TaskId
from jail_state.core.steps import Progress
from jail_state.core.task import evolve
from jail_state.store.errors import ConcurrencyError, StoreInputOutputError
from jail_state.store.memory import MemoryStore
from jail_state.store.port import Append


class LyingJournal:
    """Stores, and now and then says that it did not: what a commit that fails on its way to the disk does."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.lies = 0

    async def append(self, append: Append) -> None:
        """Store one append."""
        refused = self.store.commit([append])[0]
        if refused is not None:
            raise refused
        if self.lies:
            self.lies -= 1
            raise StoreInputOutputError("events.db", "disk I/O error")

    async def read(self, stream: str, after: int = 0) -> Any:
        """Read the events after a version."""
        return self.store.read(stream, after)


def actor_with(journal: LyingJournal) -> TaskActor:
    """Return the actor of a planned task whose plan is stored."""
    runtime: Any = SimpleNamespace(
        journal=journal,
        feed=Feed(),
        faults=Faults(),
        now_ns=lambda: 1,
        state=SimpleNamespace(task=lambda _id: None),
        host=None,
        runner=None,
        tools=None,
        helper=None,
        evidence=None,
        exits=None,
        others=lambda _id: (),
    )
    plan = planned()
    journal.store.commit([Append("t", 0, (plan,), 1)])
    return TaskActor(runtime, evolve(None, ev.Recorded(TaskId("t"), 1, 1, plan)))


def test_what_was_stored_all_the_same_counts() -> None:
    """The snapshot follows the store, so that the next append fits."""

    async def scenario() -> None:
        journal = LyingJournal()
        actor = actor_with(journal)
        journal.lies = 1
        with pytest.raises(StoreInputOutputError):
            await actor.apply(cmd.Begin())
        assert actor.task.version == 1
        with pytest.raises(ConcurrencyError):
            await actor.apply(cmd.Begin())
        assert actor.task.version == 2
        await actor.apply(cmd.Intend("files"))
        assert actor.task.version == 3

    asyncio.run(scenario())


def test_an_outcome_is_stored_once_whatever_the_store_says() -> None:
    """An outcome is a fact: it is tried again until it stands, and stands once."""

    async def scenario() -> None:
        journal = LyingJournal()
        actor = actor_with(journal)
        await actor.apply(cmd.Begin())
        await actor.apply(cmd.Intend("files"))
        journal.lies = 1
        await asyncio.wait_for(conclude(actor, actor.task.step("files"), cmd.Conclude("files")), 5)
        assert actor.task.progress("files") is Progress.DONE
        names = [recorded.event.name for recorded in journal.store.read("t")]
        assert names.count("step-succeeded") == 1

    asyncio.run(scenario())
