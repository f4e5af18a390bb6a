"""Tasks that are no more and are asked for again: an unreadable store is no answer, a missing history is one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

import core_builders as build
from jail_driver.engine.node import Node
from jail_driver.engine.past import Past
from jail_driver.errors import UnknownTaskError
from jail_state.core import events as ev
from jail_state.store.errors import StoreInputOutputError


class Journal:
    """Reads what it is given to read, or raises it."""

    def __init__(self, *answers: tuple[ev.Recorded, ...] | Exception) -> None:
        self._answers = list(answers)

    async def read(self, _task_id: str) -> tuple[ev.Recorded, ...]:
        """The next answer."""
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def node(*answers: tuple[ev.Recorded, ...] | Exception) -> Node:
    """A node of which only the journal is there."""
    stands_in: Any = SimpleNamespace(runtime=SimpleNamespace(journal=Journal(*answers)))
    return cast("Node", stands_in)


def test_read_once_it_can_be() -> None:
    """RecoverTask says yes to what it cannot read now; WaitTask asks until it is read, and then no more."""

    async def scenario() -> None:
        failure = StoreInputOutputError("events.db", "disk I/O error")
        past, here = Past(), node(failure, failure, build.history(build.planned()))
        await past.recall(here, "a")
        with pytest.raises(StoreInputOutputError):
            await past.of(here, "a")
        first = await past.of(here, "a")
        assert first is not None
        assert await past.of(here, "a") is first

    asyncio.run(scenario())


def test_no_history_is_an_unknown_task() -> None:
    """Nothing is remembered of it; nor of one that was destroyed again."""

    async def scenario() -> None:
        past, here = Past(), node((), build.history(build.planned()))
        with pytest.raises(UnknownTaskError):
            await past.recall(here, "a")
        assert await past.of(here, "a") is None
        await past.recall(here, "a")
        past.forget("a")
        assert await past.of(here, "a") is None

    asyncio.run(scenario())
