"""Plans and tasks as the tests of the core need them."""

from __future__ import annotations

from jail_state.core import events as ev
from jail_state.core.ids import TaskId
from jail_state.core.steps import Phase, Step, StepKind, hook_steps, teardown_of
from jail_state.core.task import Task, evolve, replay

UP = (
    Step("files", StepKind.FILES, Phase.FILES),
    *hook_steps("exec.prepare", 1, Phase.PREPARE),
    Step("address em1|192.0.2.7", StepKind.ADDRESS, Phase.ADDRESS),
    Step("mount /", StepKind.MOUNT, Phase.MOUNT),
    Step("mount-point /dev", StepKind.MOUNT_POINT, Phase.MOUNT),
    Step("mount /dev", StepKind.MOUNT, Phase.MOUNT),
    *hook_steps("exec.prestart", 2, Phase.PRESTART),
    Step("rule maxproc", StepKind.RULE, Phase.RULE),
    Step("jail", StepKind.JAIL, Phase.JAIL),
    *hook_steps("exec.created", 1, Phase.CREATED),
    Step("interface e0b_x", StepKind.INTERFACE, Phase.INTERFACE),
    Step("supervisor", StepKind.SUPERVISOR, Phase.MAIN),
    Step("main", StepKind.MAIN, Phase.MAIN),
    *hook_steps("exec.poststart", 1, Phase.POSTSTART),
)
DOWN_HOOKS = {"exec.prestop": 1, "exec.stop": 1, "exec.poststop": 1, "exec.release": 1}
DOWN = teardown_of(UP, DOWN_HOOKS)
PROCESS = {"pid": 42, "started_ticks": 4200, "boot_id": "boot-1"}
RESULTS = {StepKind.JAIL: {"jid": 7}, StepKind.SUPERVISOR: PROCESS, StepKind.MAIN: PROCESS}


def planned(**changes: object) -> ev.TaskPlanned:
    """Return a plan with every kind of step."""
    fields: dict[str, object] = {
        "alloc_id": "alloc",
        "task_name": "web",
        "job_id": "job",
        "namespace": "default",
        "jail_name": "web-0123456789abcdef",
        "directory": "/state/t/0123456789abcdef",
        "alloc_dir": "/alloc-dir",
        "steps": UP,
        "teardown": DOWN,
        "boot_id": "boot-1",
        "stop_signal": "SIGTERM",
        "stop_timeout_s": 5.0,
    }
    return ev.TaskPlanned(**(fields | changes))  # type: ignore[arg-type]


def history(*events: ev.Event) -> tuple[ev.Recorded, ...]:
    """Return events as a stream, one second apart."""
    return tuple(
        ev.Recorded(TaskId("t"), seq, seq * 1_000_000_000, event) for seq, event in enumerate(events, 1)
    )


def task_of(*events: ev.Event) -> Task:
    """Return the task that these events tell."""
    return replay(history(*events))


def follow(task: Task, *events: ev.Event) -> Task:
    """Return the task after further events."""
    for event in events:
        task = evolve(task, ev.Recorded(task.id, task.version + 1, (task.version + 1) * 1_000_000_000, event))
    return task


def done(step: Step) -> tuple[ev.Event, ...]:
    """Return the intent and the outcome of a step."""
    return ev.StepStarted(step.key), ev.StepSucceeded(step.key, RESULTS.get(step.kind, {}))


def up_to(key: str) -> Task:
    """Return a task in prestart whose steps before ``key`` are done."""
    events: list[ev.Event] = [planned(), ev.PreparationBegan()]
    for step in UP:
        if step.key == key:
            break
        events += done(step)
    return task_of(*events)


def running() -> Task:
    """Return a task whose start is through, poststart hooks too."""
    task = up_to("main")
    main = task.step("main")
    started = ev.TaskStarted(None)
    return follow(task, *done(main), started, *done(task.step("exec.poststart[0]")))
