"""StartTask: check everything, fence older starts, write the plan, let the actor go."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jail_driver import log
from jail_driver.config.model import JailConfig
from jail_driver.engine import planning
from jail_driver.engine.actor import TaskActor
from jail_driver.engine.checking import check
from jail_driver.engine.environment import network_env
from jail_driver.engine.messages import FENCED
from jail_driver.engine.redact import redact, secrets_of
from jail_driver.engine.steps import Launch
from jail_driver.errors import ConfigError, StartError
from jail_driver.model import TaskSpec
from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.ids import TaskId, jail_name
from jail_state.core.lifecycle import State
from jail_state.core.task import evolve
from jail_state.store.errors import ConcurrencyError, StreamClosedError
from jail_state.store.port import Append

if TYPE_CHECKING:
    from jail_driver.engine.node import Node
    from jail_driver.engine.runtime import Runtime

_log = log.get("engine")


async def begin(node: Node, spec: TaskSpec) -> tuple[TaskActor, Launch]:
    """Check a task, and make its stream if this is its first StartTask; the host is only looked at.

    Returns:
        The task's actor, and what it needs that no event holds: an interrupted start is resumed with it.

    Raises:
        ConfigError: it cannot work; its stream says why and is closed.
        StartError: the host lacks something now, and its stream says what; or a task of this id was here before.
    """
    runtime, actor = node.runtime, node.actors.get(spec.id)
    try:
        config = await check(runtime, spec)
        if actor is None:
            actor = await _plan(node, spec, config)
    except (ConfigError, StartError) as error:
        if actor is None:
            await _record_refusal(runtime, spec, str(error))
        raise
    plan = actor.task.plan
    env = network_env(dict(spec.env) | dict(spec.device_env), plan.ip, plan.ports)
    private = planning.private_of(spec, config, runtime.options)
    return actor, Launch(env, spec.stdout_path, spec.stderr_path, private)


async def _plan(node: Node, spec: TaskSpec, config: JailConfig) -> TaskActor:
    runtime = node.runtime
    await fence(node, spec)
    directory = runtime.state.task(spec.id)
    facts = planning.HostFacts(
        boot_id=runtime.boot_id,
        mounts=await runtime.host.mounts(),
        keep_out=(os.path.realpath(runtime.state.root), os.path.realpath(Path(spec.alloc_dir).parent)),
    )
    planned = planning.build(spec, config, runtime.options, directory, facts)
    return await _append_plan(node, spec, planned, (*config.notices, *planning.notices(spec, config)))


async def _record_refusal(runtime: Runtime, spec: TaskSpec, reason: str) -> None:
    """Keep what was refused, and why, for whoever looks for the task: its history is one step long."""
    planned = ev.TaskPlanned(
        alloc_id=spec.alloc_id,
        task_name=spec.name,
        job_id=spec.job_id,
        namespace=spec.namespace,
        jail_name=jail_name(spec.id, spec.name),
        directory=str(runtime.state.task(spec.id).path),
        alloc_dir=spec.alloc_dir,
        steps=(),
        teardown=(),
        boot_id=runtime.boot_id,
        stop_signal=runtime.options.kill_signal,
        stop_timeout_s=runtime.options.kill_timeout_s,
    )
    abandoned = ev.TaskAbandoned(redact(reason, secrets_of(spec.env)))
    # Nomad repeats a start after a crash: told already.
    with contextlib.suppress(ConcurrencyError, StreamClosedError):
        append = Append(spec.id, 0, (planned, abandoned), runtime.now_ns(), closes=True)
        await runtime.journal.append(append)


async def _append_plan(
    node: Node, spec: TaskSpec, planned: ev.TaskPlanned, notices: tuple[str, ...]
) -> TaskActor:
    runtime = node.runtime
    at_ns = runtime.now_ns()
    try:
        await runtime.journal.append(Append(spec.id, 0, (planned,), at_ns))
    except (ConcurrencyError, StreamClosedError) as error:
        reason = "a task of this id was started before and is over; Nomad must use a new id"
        raise StartError(reason, recoverable=True) from error
    actor = TaskActor(runtime, evolve(None, ev.Recorded(TaskId(spec.id), 1, at_ns, planned)))
    actor.recovered.set()
    node.actors[spec.id] = actor
    await actor.settle(lambda _task: tuple(ev.NoticeGiven(text) for text in notices))
    return actor


async def fence(node: Node, spec: TaskSpec) -> None:
    """Stop older starts of the same task of the same allocation: their jail must be gone first."""
    for actor in list(node.actors.values()):
        task = actor.task
        same = task.plan.alloc_id == spec.alloc_id and task.plan.task_name == spec.name and task.id != spec.id
        if same and task.state is not State.STOPPED:
            _log.warning("fencing an older start of the same task", task_id=task.id, newer=spec.id)
            options = node.runtime.options
            await actor.apply(cmd.Stop(FENCED, options.kill_signal, options.kill_timeout_s))
            await actor.until(State.STOPPED)
