"""A host in memory, as harsh as a real one may be: ids are reused at once, removal is slow, power fails.

Everything is immutable values in one flat object, so that a copy is cheap and two worlds compare by value.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

from jail_state.core import events as ev
from jail_state.core.ids import ProcessIdentity
from jail_state.core.task import Task, evolve

OURS = "web-0123456789abcdef"
PATH = "/state/t/0123456789abcdef/root"
OUR_ADDRESS = "address em1|192.0.2.7"
HOST_ADDRESS = "address em1|192.0.2.9"
HOST_POINT = "mount-point /etc"
"""An address and a mount point that the task uses and that were there before it."""
FIRST_PID = 100
DYING_POLLS = 2
"""How often jls(8) still shows a jail that was removed."""


class BusyError(Exception):
    """The kernel said EBUSY."""


@dataclass(frozen=True, slots=True)
class Jail:
    """A jail; ``dying`` counts the looks until it is gone, None while it lives."""

    jid: int
    name: str
    path: str
    dying: int | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """A process; ``owner`` is "main" or "foreign"."""

    pid: int
    started: int
    owner: str


@dataclass(slots=True)
class Truth:
    """What really happened, which the driver cannot see: the judge compares with it."""

    mains: int = 0
    hooks: tuple[str, ...] = ()
    hits: tuple[str, ...] = ()
    """Owners of the processes that were signalled."""
    removed: tuple[str, ...] = ()
    """Paths of the jails that the driver removed."""
    status: int | None = None
    """Main's wait status, once somebody reaped it."""
    lost: bool = False
    """Whether the status went with the supervisor or with the power."""
    told: tuple[tuple[int, str], ...] = ()
    """What WaitTask answered: code and error."""
    faults: tuple[str, ...] = ()
    """Broken rules, in words."""


@dataclass(slots=True)
class World:
    """Disk, kernel and Nomad around one task."""

    plan: ev.TaskPlanned
    task: Task | None = None
    """The journal: its newest commit."""
    synced: Task | None = None
    """The journal as a power cut would leave it."""
    disk: frozenset[str] = frozenset({HOST_POINT})
    """The driver's files, what hooks made, mount points in Path: all that survives a power cut."""
    record: int | None = None
    """The supervisor's exit record, durable."""
    identity: ProcessIdentity | None = None
    """Main as the supervisor recorded it."""

    boot: int = 1
    ticks: int = 0
    jails: tuple[Jail, ...] = (Jail(1, "foreign", "/usr/jails/foreign"),)
    mounts: tuple[tuple[int, str], ...] = ()
    addresses: frozenset[str] = frozenset({HOST_ADDRESS})
    theirs: frozenset[str] = frozenset({HOST_ADDRESS})
    """Those of the addresses that the host had by itself."""
    rules: frozenset[str] = frozenset()
    epair: str = ""
    """Where the hook-made interface is: "", "host" or "jail"."""
    processes: tuple[Process, ...] = (Process(FIRST_PID, 0, "foreign"),)
    supervisor: str = ""
    """"", "waiting" for its order, "ordered" (about to start main), "running", "reaped" (main ended)."""
    command: str = ""
    """A command that outlived its plugin: the step whose effect is still to come."""

    handle: bool = False
    """Whether StartTask was answered."""
    asked: bool = False
    """Whether Nomad asked for this task at all."""
    destroyed: bool = False
    truth: Truth = field(default_factory=Truth)

    def copy(self) -> World:
        """Return a world that goes its own way."""
        other = copy.copy(self)
        other.truth = copy.copy(self.truth)
        return other

    def fault(self, text: str) -> None:
        """Note a broken rule."""
        self.truth.faults = (*self.truth.faults, text)

    # -- the journal -----------------------------------------------------------------------------

    def commit(self, events: tuple[ev.Event, ...], *, durable: bool) -> None:
        """Append events; a durable commit takes everything before it to the disk."""
        for event in events:
            version = 0 if self.task is None else self.task.version
            self.task = evolve(self.task, ev.Recorded("t", version + 1, 0, event))  # type: ignore[arg-type]
        if durable:
            self.synced = self.task

    # -- processes ---------------------------------------------------------------------------------

    def spawn(self, owner: str) -> Process:
        """Start a process under the lowest free pid."""
        taken = {process.pid for process in self.processes}
        pid = next(pid for pid in range(FIRST_PID, FIRST_PID + 99) if pid not in taken)
        self.ticks += 1
        made = Process(pid, self.ticks, owner)
        self.processes = (*self.processes, made)
        return made

    @property
    def main(self) -> Process | None:
        """The living main process."""
        return next((process for process in self.processes if process.owner == "main"), None)

    def end_main(self, status: int) -> None:
        """Main ends; its supervisor, if it lives, reaps it and writes the record; the pid is free at once."""
        main = self.main
        if main is None:
            return
        self.processes = tuple(process for process in self.processes if process != main)
        if self.supervisor == "running":
            self.record, self.truth.status, self.supervisor = status, status, "reaped"
        else:
            self.truth.lost = True
        if self.supervisor == "reaped":
            self.supervisor = ""
        self.spawn("foreign")

    def order(self) -> None:
        """The supervisor does as it was told: main starts, its identity is written down before.

        Where the jail is gone, jexec(8) ends with status 1 before anything runs inside.
        """
        made = self.spawn("main")
        self.identity = ProcessIdentity(made.pid, made.started, f"boot-{self.boot}")
        self.supervisor = "running"
        if any(jail.path == PATH and jail.dying is None for jail in self.jails):
            self.truth.mains += 1
        else:
            self.end_main(1)

    # -- jails -------------------------------------------------------------------------------------

    def create_jail(self) -> int:
        """Create our jail under the lowest free jid."""
        taken = {jail.jid for jail in self.jails}
        jid = next(jid for jid in range(1, 99) if jid not in taken)
        if any(jail.name == OURS for jail in self.jails):
            raise BusyError("a jail of this name exists")
        self.jails = (*self.jails, Jail(jid, OURS, PATH))
        return jid

    def remove_jail(self, jid: int) -> None:
        """Begin to remove a jail: its processes die, it stays dying for a while."""
        [found] = [jail for jail in self.jails if jail.jid == jid]
        self.truth.removed = (*self.truth.removed, found.path)
        if found.path == PATH:
            self.end_main(143)
            self.epair = "host" if self.epair == "jail" else self.epair
        self.jails = tuple(replace(jail, dying=DYING_POLLS) if jail is found else jail for jail in self.jails)

    def look_at_jails(self) -> tuple[Jail, ...]:
        """What ``jls -d`` shows; time passes with each look."""
        seen = self.jails
        older = (
            jail if jail.dying is None else replace(jail, dying=jail.dying - 1)
            for jail in seen
            if jail.dying is None or jail.dying > 0
        )
        self.jails = tuple(older)
        return seen

    @property
    def root_is_busy(self) -> bool:
        """Whether a jail, dying or not, still holds our root."""
        return any(jail.path == PATH for jail in self.jails)

    # -- what happens to hosts ---------------------------------------------------------------------

    def plugin_dies(self, command: str = "") -> None:
        """The plugin is killed; a supervisor that was told nothing ends, a command in flight goes on."""
        if self.supervisor == "waiting":
            self.supervisor = ""
        self.command = command

    def reboot(self, *, synced: bool) -> None:
        """The power goes. What was not synced is lost, unless the disk happened to have it."""
        if self.main is not None or (self.supervisor and self.truth.status is None):
            self.truth.lost = True
        if not synced:
            self.task = self.synced
        self.synced = self.task
        self.boot += 1
        self.ticks = 0
        # Somebody else's jail and processes take the numbers that were ours.
        self.jails = tuple(Jail(jid, f"foreign-{jid}", f"/usr/jails/{jid}") for jid in (1, 2, 3))
        self.processes = tuple(Process(FIRST_PID + n, n, "foreign") for n in range(4))
        self.mounts, self.rules = (), frozenset()
        # From now on the host itself has the address that the task had added.
        self.addresses = self.theirs = frozenset({HOST_ADDRESS, OUR_ADDRESS})
        self.epair = self.supervisor = self.command = ""

    def key(self) -> tuple[Any, ...]:
        """Return what tells this world from others; the order of numbers that nobody compares is left out."""
        truth = self.truth
        return (
            _task_key(self.task),
            _task_key(self.synced),
            *(
                self.disk,
                self.record,
                self.identity,
                self.boot,
                self.jails,
                self.mounts,
                self.addresses,
                self.theirs,
            ),
            *(self.rules, self.epair, self.processes, self.ticks, self.supervisor, self.command, self.handle),
            *(self.asked, self.destroyed, truth.mains, truth.hooks, truth.hits, truth.removed, truth.status),
            *(truth.lost, truth.told, truth.faults),
        )


def _task_key(task: Task | None) -> tuple[Any, ...]:
    if task is None:
        return ()
    records = tuple(
        (key, record.progress, repr(record.before), repr(record.result))
        for key, record in task.records.items()
    )
    return (
        *(task.state, records, task.boot_id, task.jid, task.jail_lost, task.supervisor, task.main, task.exit),
        *(task.trigger, task.stop, task.leftovers, task.destroyed, task.started_at_ns is None),
    )
