"""Whole lives of tasks, made by the core's own decisions."""

from jail_state.core import commands as cmd
from jail_state.core.decide import decide
from jail_state.core.events import Event, MainExited, Recorded, TaskPlanned
from jail_state.core.ids import TaskId
from jail_state.core.plan import plan
from jail_state.core.steps import Phase, Step, StepKind, hook_steps, teardown_of
from jail_state.core.task import Task, evolve, replay
from jail_state.store.port import History

SECOND_NS = 1_000_000_000
EPOCH_NS = 1_700_000_000 * SECOND_NS

UP = (
    *hook_steps("exec.prestart", 1, Phase.PRESTART),
    Step("mount /alloc", StepKind.MOUNT, Phase.MOUNT, {"source": "/a", "target": "/b"}),
    Step("jail", StepKind.JAIL, Phase.JAIL),
    Step("supervisor", StepKind.SUPERVISOR, Phase.MAIN),
    Step("main", StepKind.MAIN, Phase.MAIN),
)
RESULTS: dict[str, dict[str, object]] = {
    "jail": {"jid": 7},
    "supervisor": {"pid": 100, "started_ticks": 1, "boot_id": "b"},
    "main": {"pid": 101, "started_ticks": 2, "boot_id": "b"},
}


class Life:
    """One task's events, a second apart."""

    def __init__(
        self, task_id: str = "0a1b2c3d-aaaa/web/12345678", name: str = "web", start_s: int = 0
    ) -> None:
        self.id = TaskId(task_id)
        self.at_ns = EPOCH_NS + start_s * SECOND_NS
        self.history: History = ()
        self.record(
            TaskPlanned(
                alloc_id=task_id.split("/", maxsplit=1)[0],
                task_name=name,
                job_id="site",
                namespace="default",
                jail_name=f"{name}-0",
                directory="/state/t/0",
                alloc_dir="/alloc/0",
                steps=UP,
                teardown=teardown_of(UP, {"exec.poststop": 1}),
                boot_id="b",
                stop_signal="SIGTERM",
                stop_timeout_s=5.0,
                ports={"http": 80},
            )
        )

    @property
    def task(self) -> Task:
        """The task as its events tell it."""
        return replay(self.history)

    def record(self, *events: Event) -> None:
        """Add events."""
        for event in events:
            self.history = (*self.history, Recorded(self.id, len(self.history) + 1, self.at_ns, event))
            self.at_ns += SECOND_NS

    def do(self, command: cmd.Command) -> None:
        """Add what the core decides."""
        self.record(*decide(self.task, command))

    def work(self, until: str = "") -> "Life":
        """Perform the steps that are owed, all or up to one."""
        while (step := plan(self.task)) is not None:
            self.do(cmd.Intend(step.key))
            if step.key == until:
                break
            self.do(cmd.Conclude(step.key, RESULTS.get(step.key, {})))
        return self

    def run(self) -> "Life":
        """Bring it up."""
        self.do(cmd.Begin())
        return self.work()

    def end(self, exit_code: int = 0, signal: int = 0) -> "Life":
        """Let main end and everything be unmade."""
        self.do(cmd.RecordExit(MainExited(exit_code, signal)))
        self.work()
        self.do(cmd.Finish())
        return self


def broken(life: Life) -> History:
    """Return a history with an event that cannot follow."""
    last = life.history[-1]
    odd = Recorded(life.id, last.seq + 1, last.at_ns + 1, life.history[0].event)
    more = Recorded(life.id, last.seq + 2, last.at_ns + 2, life.history[1].event)
    evolve(None, life.history[0])
    return (*life.history, odd, more)
