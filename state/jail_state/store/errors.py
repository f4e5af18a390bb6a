"""Everything a store can refuse, in one tree: fields first, one sentence for the operator made from them.

Two families: refusals of one append or one log (the store is well, the input is not), and ``UnavailableError``:
the store as a whole cannot serve now, every caller gets the same reason, and a later call may succeed.
"""

from __future__ import annotations

from typing import ClassVar


class StoreError(Exception):
    """The root of the store's errors. ``str(error)`` is one readable sentence."""


class ConcurrencyError(StoreError):
    """Somebody else appended to the stream first; nothing of this append was stored.

    Args:
        stream: the stream's name.
        expected: the version (seq of the last event) that the writer knew.
        actual: the version that the stream has.
    """

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        self.stream = stream
        self.expected = expected
        self.actual = actual
        super().__init__(f"stream {stream!r} is at event {actual}, the writer expected {expected}")


class StreamClosedError(StoreError):
    """The stream was closed: it takes no more events."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        super().__init__(f"stream {stream!r} is closed")


class EncodeError(StoreError):
    """An event that could be written but never be read again: refused before it reaches the disk.

    Args:
        name: the event's stable name.
        why: which field holds what.
    """

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why
        super().__init__(f"event {name!r} cannot be stored: {why}")


class DecodeError(StoreError):
    """A stored event that this program cannot read; ``newer`` says that a newer one wrote it.

    Args:
        name: the event's stable name.
        version: its stored version.
        why: what does not fit.
        newer: whether a newer program would understand it.
    """

    def __init__(self, name: str, version: int, why: str, *, newer: bool) -> None:
        self.name = name
        self.version = version
        self.why = why
        self.newer = newer
        super().__init__(f"event {name!r} version {version}: {why}")


class LogError(StoreError):
    """An exported event log that cannot be read back.

    Args:
        place: the log's name, with the number of the line where it is known.
        why: what does not fit.
        newer: whether a newer program would understand it.
    """

    def __init__(self, place: str, why: str, *, newer: bool = False) -> None:
        self.place = place
        self.why = why
        self.newer = newer
        super().__init__(f"event log {place}: {why}")


class UnavailableError(StoreError):
    """The store as a whole cannot serve.

    Args:
        path: the database file.
        why: SQLite's or the system's own words.
    """

    what: ClassVar[str] = "cannot be used"
    remedy: ClassVar[str] = ""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        self.why = why
        text = f"event store {path} {self.what}: {why}"
        super().__init__(f"{text}; {self.remedy}" if self.remedy else text)


class StoreFullError(UnavailableError):
    """The disk is full (SQLITE_FULL). Later appends work again once there is room."""

    what = "cannot grow"
    remedy = "free some space on its file system"


class StoreLockedError(UnavailableError):
    """Another process holds the write lock, or the migration lock, longer than we wait."""

    what = "is locked"
    remedy = "another process is writing to it"


class StoreReadOnlyError(UnavailableError):
    """The file, its directory or its file system cannot be written."""

    what = "cannot be written"
    remedy = "check the owner, the mode and the mount options"


class StoreInputOutputError(UnavailableError):
    """The disk failed to read or write."""

    what = "hit a disk error"


class StoreMissingError(UnavailableError):
    """The file or its directory is not there (any more)."""

    what = "is missing"
    remedy = "restore the state directory"


class StoreDamagedError(UnavailableError):
    """What the file holds is not a sound database of ours, or not a sound event."""

    what = "is damaged"
    remedy = "keep a copy of it, then restore a backup or move it away"


class StoreForeignError(UnavailableError):
    """A database of another program stands where ours should be."""

    what = "is not an event store of this driver"
    remedy = "move it away or choose another state directory"


class StoreTooNewError(UnavailableError):
    """A newer version of this driver wrote the database; it was left untouched."""

    what = "was written by a newer version of this driver"
    remedy = "install that version again"


class StoreTooOldError(UnavailableError):
    """The database has an older schema, and this is a reader that may not migrate it."""

    what = "has an older schema"
    remedy = "start the plugin once, it migrates the schema"


class StoreClosedError(UnavailableError):
    """The store was closed by its own process."""

    what = "is closed"
