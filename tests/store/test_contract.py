"""The contract of every event store: SQLite's and the fake pass the same suite."""

import pytest

from jail_state.core.events import Event, NoticeGiven, Recorded, TaskDestroyed
from jail_state.core.ids import TaskId
from jail_state.store.errors import (
    ConcurrencyError,
    EncodeError,
    StoreClosedError,
    StreamClosedError,
)
from jail_state.store.memory import MemoryStore
from jail_state.store.port import Append, EventStore
from store.samples import PLAN, add


def texts(store: EventStore, stream: str, after: int = 0) -> list[str]:
    """Read the texts of a stream of notices."""
    return [one.event.text for one in store.read(stream, after) if isinstance(one.event, NoticeGiven)]


class TestAppending:
    """What goes in comes out, at its place."""

    def test_an_event_comes_back_equal(self, store: EventStore) -> None:
        """Enums, nested records, tuples, mappings and text of any alphabet survive the disk."""
        assert store.commit([Append("s", 0, (PLAN, TaskDestroyed()), at_ns=17)]) == [None]
        assert store.read("s") == (
            Recorded(TaskId("s"), 1, 17, PLAN),
            Recorded(TaskId("s"), 2, 17, TaskDestroyed()),
        )

    def test_numbers_go_up_by_one_from_one(self, store: EventStore) -> None:
        """Numbers have no gaps, so the expected version says exactly what a writer knows."""
        store.commit([add("s", 0, "a", "b"), add("s", 2, "c")])
        assert [one.seq for one in store.read("s")] == [1, 2, 3]
        assert texts(store, "s") == ["a", "b", "c"]

    def test_reading_after_a_version_gives_only_what_followed(self, store: EventStore) -> None:
        """``after`` is exclusive; beyond the end there is nothing, nor in an unknown stream."""
        store.commit([add("s", 0, "a", "b", "c")])
        assert texts(store, "s", 1) == ["b", "c"]
        assert store.read("s", 3) == ()
        assert store.read("s", 30) == ()
        assert store.read("unknown") == ()

    def test_streams_are_independent(self, store: EventStore) -> None:
        """Each stream counts for itself, whatever its name looks like."""
        names = ["s", "S", "s/", "%", "_", "'", "\x00", "a\x00b", "\n", "日本", ""]
        assert store.commit([add(name, 0, repr(name)) for name in names]) == [None] * len(names)
        assert store.heads() == dict.fromkeys(names, 1)
        assert [texts(store, name) for name in names] == [[repr(name)] for name in names]

    def test_an_empty_commit_is_nothing(self, store: EventStore) -> None:
        """No append, no outcome."""
        assert store.commit([]) == []
        assert store.heads() == {}


class TestConflicts:
    """Optimistic concurrency: who knew less than the store is refused, alone."""

    @pytest.mark.parametrize("expected", [0, 1, 3])
    def test_a_writer_that_missed_something_is_refused(self, store: EventStore, expected: int) -> None:
        """Both a stale version and one from the future are conflicts, and say both numbers."""
        store.commit([add("s", 0, "a", "b")])
        (error,) = store.commit([add("s", expected, "late")])
        assert isinstance(error, ConcurrencyError)
        assert (error.stream, error.expected, error.actual) == ("s", expected, 2)
        assert texts(store, "s") == ["a", "b"]

    def test_a_conflict_fails_alone(self, store: EventStore) -> None:
        """The other appends of the same transaction are stored."""
        outcomes = store.commit([add("a", 0, "1"), add("a", 0, "2"), add("b", 0, "3"), add("a", 1, "4")])
        assert [type(outcome) for outcome in outcomes] == [
            type(None),
            ConcurrencyError,
            type(None),
            type(None),
        ]
        assert (texts(store, "a"), texts(store, "b")) == (["1", "4"], ["3"])

    def test_an_append_is_all_or_nothing(self, store: EventStore) -> None:
        """One event that cannot be stored takes its companions with it, and no other append."""
        bad = NoticeGiven(text=5)  # type: ignore[arg-type]
        outcomes = store.commit(
            [Append("s", 0, (NoticeGiven("good"), bad), 1), Append("t", 0, (NoticeGiven("good"),), 1)]
        )
        assert isinstance(outcomes[0], EncodeError)
        assert outcomes[1] is None
        assert store.heads() == {"t": 1}

    def test_a_name_that_is_no_text_is_refused(self, store: EventStore) -> None:
        """A lone surrogate has no UTF-8 form."""
        outcomes = store.commit([add("\udc80", 0, "a"), add("b", 0, "b")])
        assert isinstance(outcomes[0], EncodeError)
        assert store.heads() == {"b": 1}

    @pytest.mark.parametrize("version", [0, 1])
    def test_an_append_says_something(self, store: EventStore, version: int) -> None:
        """An append without events that does not close its stream is a mistake of the caller."""
        store.commit([add("s", 0, "a")])
        assert isinstance(store.commit([add("s" if version else "new", version)])[0], EncodeError)

    def test_an_event_of_another_program_is_refused(self, store: EventStore) -> None:
        """A class that is not registered could not be read back."""

        class Stranger(Event):
            name = "notice-given"

        assert isinstance(store.commit([Append("s", 0, (Stranger(),), 1)])[0], EncodeError)


class TestClosing:
    """A closed stream is history: readable, not live, and purged in time."""

    def test_live_streams_are_those_not_closed(self, store: EventStore) -> None:
        """What a new plugin has to look after is read in one go."""
        store.commit([add("a", 0, "1", "2"), add("b", 0, "3", closes=True, at_ns=9), add("c", 0, "4")])
        assert {name: len(history) for name, history in store.live().items()} == {"a": 2, "c": 1}
        assert {name: len(history) for name, history in store.every().items()} == {"a": 2, "b": 1, "c": 1}
        assert store.live()["a"] == store.read("a")
        assert store.closed() == {"b": 9}

    def test_the_last_events_and_the_closing_are_one(self, store: EventStore) -> None:
        """``closes`` stores the events and closes the stream in the same transaction."""
        store.commit([add("s", 0, "a"), add("s", 1, "last", closes=True)])
        assert texts(store, "s") == ["a", "last"]
        assert store.live() == {}

    def test_closing_needs_no_event(self, store: EventStore) -> None:
        """A bare close checks the version too."""
        store.commit([add("s", 0, "a")])
        assert isinstance(store.commit([add("s", 0, closes=True)])[0], ConcurrencyError)
        assert store.commit([add("s", 1, closes=True)]) == [None]
        assert store.live() == {}

    def test_a_closed_stream_takes_nothing_more(self, store: EventStore) -> None:
        """Also within one transaction."""
        outcomes = store.commit([add("s", 0, "a", closes=True), add("s", 1, "b")])
        assert isinstance(outcomes[1], StreamClosedError)
        assert isinstance(store.commit([add("s", 1, "b")])[0], StreamClosedError)
        assert texts(store, "s") == ["a"]

    def test_close_stream_keeps_the_first_time(self, store: EventStore) -> None:
        """Repeated closing, and closing what is unknown, change nothing."""
        store.commit([add("s", 0, "a")])
        store.close_stream("s", 5)
        store.close_stream("s", 8)
        store.close_stream("s", 3)
        store.close_stream("unknown", 5)
        assert store.closed() == {"s": 5}
        assert store.heads() == {"s": 1}

    def test_purging_forgets_old_closed_streams_only(self, store: EventStore) -> None:
        """Retention: strictly before the time; open streams stay whatever their age."""
        store.commit(
            [add("old", 0, "x", "y", closes=True, at_ns=5), add("new", 0, "x", closes=True, at_ns=6)]
        )
        store.commit([add("open", 0, "x", at_ns=1)])
        assert store.purge(6) == 1
        assert store.heads() == {"new": 1, "open": 1}
        assert store.read("old") == ()
        assert store.purge(6) == 0

    def test_a_purged_name_can_begin_again(self, store: EventStore) -> None:
        """Nothing of the old stream is left."""
        store.commit([add("s", 0, "a", closes=True, at_ns=5)])
        store.purge(6)
        assert store.commit([add("s", 0, "b")]) == [None]
        assert texts(store, "s") == ["b"]
        assert store.closed() == {}


class TestTheEnd:
    """A store that was closed says so."""

    def test_a_closed_store_refuses_everything(self, store: EventStore) -> None:
        """Closing twice is fine; using it afterwards is an error with a name."""
        store.probe()
        store.close()
        store.close()
        with pytest.raises(StoreClosedError):
            store.commit([add("s", 0, "a")])
        with pytest.raises(StoreClosedError):
            store.read("s")
        with pytest.raises(StoreClosedError):
            store.probe()


class TestPowerCut:
    """What the fake loses where a real disk may."""

    def test_the_unsynced_tail_goes_and_nothing_else(self) -> None:
        """A durable append carries everything before it to the disk, of all streams."""
        store = MemoryStore()
        store.commit([add("a", 0, "1")])
        store.commit([add("b", 0, "1", durable=True)])
        store.commit([add("a", 1, "lost"), add("c", 0, "lost")])
        store.close_stream("b", 5)
        store.cut_power()
        assert (texts(store, "a"), texts(store, "b"), texts(store, "c")) == (["1"], ["1"], [])
        assert store.closed() == {}
        assert store.commit([add("a", 1, "again")]) == [None]
        store.cut_power()
        assert texts(store, "a") == ["1"]
