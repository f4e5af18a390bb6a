"""After a crash: wait for commands in flight, observe the host, reconcile, append the verdict.

Nothing here changes the host. The actor goes on from the reconciled snapshot with whatever is owed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jail_driver import log
from jail_driver.backoff import Backoff
from jail_driver.engine.execs import end_orphans
from jail_driver.engine.faults import Point
from jail_driver.engine.messages import REATTACHED
from jail_driver.engine.steps import HANDLERS
from jail_driver.engine.steps.process import exited_of, wait_supervisor_gone
from jail_driver.host.command import InFlight, wait_in_flight
from jail_driver.supervisor import records
from jail_state.core import events as ev
from jail_state.core.ids import ProcessIdentity
from jail_state.core.lifecycle import State
from jail_state.core.reconcile import Observation, Seen, StepSeen, reconcile
from jail_state.core.steps import Progress, Step, StepKind
from jail_state.core.task import Task

if TYPE_CHECKING:
    from jail_driver.engine.actor import TaskActor

_log = log.get("recovery")
_COMMAND_S = 30.0
_NEVER_TOLD_S = 5.0
_AGAIN_S = 0.2
_AGAIN_MOST_S = 10.0


async def recover(actor: TaskActor) -> None:
    """Make a task's journal agree with the host, and tell what was found.

    Raises:
        StoreError: the verdict could not be stored; try again.
        OSError: a file cannot be read now; try again.
        HostError: the host could not be observed; try again.
    """
    task = actor.task
    unknown = actor.read_private()
    if task.state is State.STOPPED:
        return
    if actor.runtime.boot_id == task.boot_id:
        end_orphans(actor.context.directory)
    evidence = actor.runtime.evidence
    evidence.listen_for(task)
    await actor.runtime.faults.announce(Point.BEFORE_INTENT, "recovery")
    seen = await observe(actor)
    # Somebody may have asked for a stop meanwhile: the verdict is on the newest snapshot.
    doubts = evidence.missed(task, seen.exited)
    verdict = await actor.settle(lambda newest: (*_verdict(newest, seen), *doubts, *_notice(unknown)))
    await actor.runtime.faults.announce(Point.AFTER_OUTCOME, "recovery")
    _log.info(
        "recovered", task_id=task.id, was=str(task.state), state=str(actor.task.state), events=len(verdict)
    )


def _verdict(task: Task, seen: Observation) -> tuple[ev.Event, ...]:
    verdict = reconcile(task, seen)
    if task.state is State.RUNNING and not any(isinstance(event, ev.TeardownBegan) for event in verdict):
        return (*verdict, ev.TaskRecovered(f"{REATTACHED} to jail {task.jid}"))
    return verdict


def _notice(unknown: str) -> tuple[ev.NoticeGiven, ...]:
    if not unknown:
        return ()
    return (
        ev.NoticeGiven(f"its hooks are not known any more, the teardown goes on without them: {unknown}"),
    )


async def observe(actor: TaskActor) -> Observation:
    """Look at everything that reconciling needs."""
    ctx, task = actor.context, actor.task
    boot_id = actor.runtime.boot_id
    if boot_id != task.boot_id:
        # The old boot's processes and commands are gone; its pids and jids mean nothing now.
        record = records.read_end(ctx.directory.supervisor)
        exited = exited_of(record) if record is not None else None
        flight = task.in_flight
        doubt = StepSeen(Seen.UNKNOWN, reason="the host rebooted while it ran")
        return Observation(boot_id, False, False, None, exited, doubt if flight else None)
    step = await _observe_step(actor, task.in_flight)
    if _never_told(task):
        # Its go channel ended with the old plugin: it is about to exit.
        await wait_supervisor_gone(ctx, _NEVER_TOLD_S)
    jail = await ctx.jail()
    # The lock is looked at before the record: a supervisor writes its record, then lets go.
    alive = records.alive(ctx.directory.supervisor)
    read = records.read_exit if alive else records.read_end
    record = read(ctx.directory.supervisor)
    identity = records.read_identity(ctx.directory.supervisor)
    main = identity.main if identity is not None else None
    return Observation(
        boot_id=boot_id,
        jail_present=jail is not None and not jail.dying,
        supervisor_alive=alive,
        main=ProcessIdentity(main.pid, main.started_ticks, main.boot_id) if main is not None else None,
        exited=exited_of(record) if record is not None else None,
        step=step,
    )


def _never_told(task: Task) -> bool:
    supervisor = task.step_of(StepKind.SUPERVISOR)
    return supervisor is not None and task.progress(supervisor.key) is Progress.DONE and not task.ever_ran


async def _observe_step(actor: TaskActor, step: Step | None) -> StepSeen | None:
    if step is None:
        return None
    ctx = actor.context
    bound_s = _COMMAND_S
    if step.kind is StepKind.HOOK and ctx.private is not None:
        bound_s = ctx.private.hook_timeout_s or bound_s
    state = await wait_in_flight(ctx.directory.lock(step.key), bound_s)
    if state is InFlight.HELD:
        return StepSeen(Seen.UNKNOWN, reason="its command still runs and may not be killed safely")
    before = actor.task.records[step.key].before
    return await HANDLERS[step.kind].observe(ctx, step, before)


async def recover_all(actors: list[TaskActor]) -> None:
    """Recover tasks side by side; one that cannot be recovered now is tried again, and delays no other."""

    async def one(actor: TaskActor) -> None:
        backoff = Backoff(_AGAIN_S, _AGAIN_MOST_S)
        while True:
            try:
                await recover(actor)
                break
            except Exception:  # noqa: BLE001  # logged, and tried again
                _log.exception("cannot recover now", task_id=actor.task.id)
            await backoff.pause()
        actor.recovered.set()
        actor.start()

    await asyncio.gather(*(one(actor) for actor in actors))
