"""A task's states as the event store tells them, while the plugin writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jail_state.core.lifecycle import State
from jail_state.core.task import Task, evolve, replay
from jail_state.store.errors import StoreMissingError, UnavailableError
from jail_state.store.readonly import ReadOnlyStore


@dataclass(frozen=True, slots=True)
class StateSeen:
    """One state that the task has come to, and the task at that moment."""

    state: State
    task: Task


class StateReader:
    """Reads what is new of one task.

    Args:
        database: the event store's file; it need not exist yet.
        task_id: Nomad's task id.
    """

    def __init__(self, database: Path, task_id: str) -> None:
        self._database = database
        self._store = ReadOnlyStore(database)
        self._task_id = task_id
        self._task: Task | None = None
        self._print: object = None

    @property
    def task(self) -> Task | None:
        """The task as last read."""
        return self._task

    def living(self) -> tuple[str, ...]:
        """Returns the ids of all tasks that are not stopped.

        Raises:
            UnavailableError: the store cannot be read.
        """
        return tuple(
            stream
            for stream, history in self._store.live().items()
            if replay(history).state is not State.STOPPED
        )

    def new(self) -> list[StateSeen]:
        """Returns the states reached since the last call; none while the store cannot be read."""
        print_now = self._fingerprint()
        if print_now == self._print:
            return []
        version = 0 if self._task is None else self._task.version
        try:
            recorded = self._store.read(self._task_id, version)
        except (StoreMissingError, UnavailableError):
            return []
        self._print = print_now
        seen = []
        for one in recorded:
            before = None if self._task is None else self._task.state
            self._task = evolve(self._task, one)
            if self._task.state is not before:
                seen.append(StateSeen(self._task.state, self._task))
        return seen

    def _fingerprint(self) -> object:
        """What changes with each commit: sizes and times of the database and its log."""
        found: list[tuple[int, int, int] | None] = []
        for path in (self._database, self._database.with_name(f"{self._database.name}-wal")):
            try:
                stat = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
        return found


def sentence(seen: StateSeen) -> str:
    """Returns what a person wants to know about a state."""
    task = seen.task
    match seen.state:
        case State.RUNNING:
            main = "no main process" if task.main is None else f"main is process {task.main.pid}"
            return f"running: jail {task.jail_name}, jid {task.jid}, {main}"
        case State.PRESTOP:
            return f"prestop: {task.reason}" if task.reason else "prestop"
        case State.STOPPED:
            left = f"; left over: {', '.join(task.leftovers)}" if task.leftovers else ""
            return f"stopped{left}"
        case State.PENDING | State.PRESTART:
            return str(seen.state)
