"""The journal: the one writer of the event store, for asyncio, with group commit.

One thread owns the store. What is appended while it commits waits and then shares the next transaction, so
that a thousand tasks cost a few commits, not a thousand. Everything happens in the order of the calls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from jail_state.store.errors import StoreClosedError, UnavailableError
from jail_state.store.port import Append, EventStore, History

BATCH_MAX: Final = 512
"""Appends in one transaction at most: bounds what waits for one commit."""

Answer = TypeVar("Answer")
Outcome = tuple["_Request", Any, Exception | None]


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """What a caller waits for: an append to be grouped with others, or a question to the store."""

    append: Append | None
    question: Callable[[EventStore], Any] | None
    heals: bool
    """Whether success says that the store can be written again."""
    future: asyncio.Future[Any]


class Journal:
    """Appends and reads for one event loop; the store is opened by the first call, in the thread.

    A caller that is cancelled while it waits does not take its append back.

    Args:
        open_store: opens the store; called again after it failed. May block and import SQLAlchemy.
        on_trouble: told in the loop, when it changes, why the store cannot serve; None when it can again.
    """

    def __init__(
        self,
        open_store: Callable[[], EventStore],
        *,
        on_trouble: Callable[[UnavailableError | None], None] | None = None,
    ) -> None:
        self._open_store = open_store
        self._on_trouble = on_trouble
        self._trouble: UnavailableError | None = None
        self._store: EventStore | None = None
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def trouble(self) -> UnavailableError | None:
        """Why the store could not serve when last asked; None once a write succeeded."""
        return self._trouble

    async def append(self, append: Append) -> None:
        """Store events; returns once they are committed (and on the disk, if durable).

        Raises:
            ConcurrencyError: somebody else was first.
            StoreClosedError: after ``close``.
            StoreError: as in ``EventStore.commit``; nothing of this append was stored.
        """
        await self._submit(append, None, heals=True)

    async def ask(self, question: Callable[[EventStore], Answer], *, heals: bool = False) -> Answer:
        """Run a question in the journal's thread, after all that was submitted before.

        Args:
            question: gets the store; returns the answer.
            heals: whether it writes, so that its success ends a trouble.

        Raises:
            UnavailableError: the store cannot serve.
        """
        answer: Answer = await self._submit(None, question, heals=heals)
        return answer

    async def open(self) -> None:
        """Open the store, make or migrate it; the first real use does it too.

        Raises:
            UnavailableError: and why.
        """
        await self.ask(lambda _: None)

    async def read(self, stream: str, after: int = 0) -> History:
        """See ``EventReader.read``."""
        return await self.ask(lambda store: store.read(stream, after))

    async def live(self) -> Mapping[str, History]:
        """See ``EventReader.live``."""
        return await self.ask(lambda store: store.live())

    async def close_stream(self, stream: str, at_ns: int) -> None:
        """See ``EventStore.close_stream``."""
        await self.ask(lambda store: store.close_stream(stream, at_ns), heals=True)

    async def purge(self, closed_before_ns: int) -> int:
        """See ``EventStore.purge``."""
        return await self.ask(lambda store: store.purge(closed_before_ns), heals=True)

    async def probe(self) -> None:
        """See ``EventStore.probe``: how an unhealthy driver finds out that it is well again."""
        await self.ask(lambda store: store.probe(), heals=True)

    async def close(self) -> None:
        """Finish what was submitted, then close the store; may be repeated."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _submit(
        self, append: Append | None, question: Callable[[EventStore], Any] | None, *, heals: bool
    ) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreClosedError("journal", "closed by the plugin")
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            # A daemon: a plugin that is told to end does not wait for a disk that hangs.
            self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
            self._thread.start()
        future = asyncio.get_running_loop().create_future()
        self._queue.put(_Request(append, question, heals, future))
        return future

    def _work(self) -> None:
        going = True
        while going:
            requests = _drain(self._queue)
            going = None not in requests
            todo = [request for request in requests if request is not None]
            for is_append, group in groupby(todo, key=lambda request: request.append is not None):
                some = list(group)
                if is_append:
                    for start in range(0, len(some), BATCH_MAX):
                        self._commit(some[start : start + BATCH_MAX])
                else:
                    for request in some:
                        self._answer(request)
        if self._store is not None:
            self._store.close()

    def _commit(self, requests: Sequence[_Request]) -> None:
        appends = [request.append for request in requests if request.append is not None]
        outcomes, failure = self._try(lambda store: store.commit(appends), heals=True)
        errors = outcomes if failure is None else [failure] * len(requests)
        self._settle([(request, None, error) for request, error in zip(requests, errors, strict=True)])

    def _answer(self, request: _Request) -> None:
        if request.question is not None:
            answer, failure = self._try(request.question, heals=request.heals)
            self._settle([(request, answer, failure)])

    def _try(self, question: Callable[[EventStore], Any], *, heals: bool) -> tuple[Any, Exception | None]:
        """Ask the store, open it first where needed; whatever goes wrong, the thread lives on."""
        try:
            if self._store is None:
                self._store = self._open_store()
            answer = question(self._store)
        except UnavailableError as error:
            self._tell(error)
            return None, error
        except Exception as error:  # noqa: BLE001  # the caller gets it: it is not ours to judge
            return None, error
        if heals:
            self._tell(None)
        return answer, None

    def _tell(self, trouble: UnavailableError | None) -> None:
        changed = str(trouble) != str(self._trouble)
        self._trouble = trouble
        if changed and self._on_trouble is not None:
            self._call(self._on_trouble, trouble)

    def _settle(self, outcomes: Iterable[Outcome]) -> None:
        self._call(_resolve, outcomes)

    def _call(self, function: Callable[[Any], None], argument: object) -> None:
        # A loop that is closed has nobody waiting.
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, argument)


def _drain(queue: SimpleQueue[_Request | None]) -> list[_Request | None]:
    """Wait for a request, then take all that are there."""
    requests = [queue.get()]
    with suppress(Empty):
        while True:
            requests.append(queue.get_nowait())
    return requests


def _resolve(outcomes: Iterable[Outcome]) -> None:
    for request, answer, error in outcomes:
        if request.future.done():
            continue
        if error is None:
            request.future.set_result(answer)
        else:
            request.future.set_exception(error)
