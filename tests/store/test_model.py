"""The SQLite store against a dictionary: any sequence of calls, with restarts and kills in between."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jail_state.core.events import NoticeGiven
from jail_state.store import files
from jail_state.store.errors import ConcurrencyError, StreamClosedError
from jail_state.store.readonly import ReadOnlyStore
from jail_state.store.sqlite import open_store
from store.samples import add

STREAMS = st.sampled_from(["a", "b", "c"])
TIMES = st.integers(1, 5)


class StoreMachine(RuleBasedStateMachine):
    """One store, and what it must say."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="jail-model-"))
        self.lives = 0
        self.path = self.home / "events.db"
        self.store = open_store(self.path)
        self.streams: dict[str, list[str]] = {}
        self.closed: dict[str, int] = {}

    @rule(
        stream=STREAMS,
        off=st.sampled_from([0, 0, 0, -1, 1]),
        texts=st.lists(st.text(max_size=3), min_size=1, max_size=3),
        closes=st.sampled_from([False, False, True]),
        durable=st.booleans(),
        at_ns=TIMES,
    )
    def append(
        self, *, stream: str, off: int, texts: list[str], closes: bool, durable: bool, at_ns: int
    ) -> None:
        """A writer that knows the version, or is off by one."""
        version = len(self.streams.get(stream, ()))
        (outcome,) = self.store.commit(
            [add(stream, version + off, *texts, closes=closes, durable=durable, at_ns=at_ns)]
        )
        if stream in self.closed:
            assert isinstance(outcome, StreamClosedError)
        elif off:
            assert isinstance(outcome, ConcurrencyError)
            assert outcome.actual == version
        else:
            assert outcome is None
            self.streams.setdefault(stream, []).extend(texts)
            if closes:
                self.closed[stream] = at_ns

    @rule(stream=STREAMS, at_ns=TIMES)
    def close_stream(self, stream: str, at_ns: int) -> None:
        """Repeatable, and the first time stands."""
        self.store.close_stream(stream, at_ns)
        if stream in self.streams:
            self.closed.setdefault(stream, at_ns)

    @rule(before=TIMES)
    def purge(self, before: int) -> None:
        """What was closed before."""
        old = [stream for stream, at_ns in self.closed.items() if at_ns < before]
        assert self.store.purge(before) == len(old)
        for stream in old:
            del self.streams[stream], self.closed[stream]

    @rule()
    def restart(self) -> None:
        """A clean end and a new start."""
        self.store.close()
        self.store = open_store(self.path)

    @rule()
    def kill(self) -> None:
        """The process is gone, the kernel's pages are not: database and log as they stand, no index."""
        self.lives += 1
        after = self.home / str(self.lives)
        after.mkdir()
        shutil.copy(self.path, after)
        shutil.copy(files.log_of(self.path), after)
        self.store.close()
        self.path = after / self.path.name
        self.store = open_store(self.path)

    @invariant()
    def says_what_the_model_says(self) -> None:
        """The writer and a reader beside it."""
        found = self.store.every()
        assert {
            stream: [one.event.text for one in history if isinstance(one.event, NoticeGiven)]
            for stream, history in found.items()
        } == self.streams
        assert self.store.closed() == self.closed
        assert self.store.live().keys() == self.streams.keys() - self.closed.keys()
        assert self.store.heads() == {stream: len(texts) for stream, texts in self.streams.items()}
        assert ReadOnlyStore(self.path).every() == found

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.store.close()
        shutil.rmtree(self.home)


TestModel = StoreMachine.TestCase
TestModel.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)
