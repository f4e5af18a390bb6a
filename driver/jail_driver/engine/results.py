"""A task's snapshot as what Nomad is told of it. Pure."""

from __future__ import annotations

import json

from jail_driver.model import DriverNetwork, ExitResult, Handle, HandleState, TaskStatus
from jail_state.core.decide import exit_sentence
from jail_state.core.lifecycle import State
from jail_state.core.task import Task

HANDLE_VERSION = 1
_SIGNAL_BASE = 128


def exit_result(task: Task) -> ExitResult:
    """Return how a stopped task ended; where nobody knows, that is said, and it is never 0.

    A signal is reported twice, as Nomad's own executor does: 128+n as the code, and n
    (drivers/shared/executor/executor.go).
    """
    exited = task.exit
    if exited is None:
        if not task.ever_ran and task.started_at_ns is None:
            return ExitResult(exit_code=-1, error=task.reason or "the task never ran")
        return ExitResult(exit_code=-1, error=f"exit status unknown: {task.reason}")
    if exited.unknown_because:
        return ExitResult(exit_code=-1, error=exit_sentence(exited))
    if exited.signal:
        code = _SIGNAL_BASE + exited.signal
        return ExitResult(exit_code=code, signal=exited.signal, oom_killed=exited.oom_killed)
    return ExitResult(exit_code=exited.exit_code, oom_killed=exited.oom_killed)


def handle_of(task: Task) -> Handle:
    """Return what Nomad keeps: version and task id; the journal holds the truth."""
    state = json.dumps({"version": HANDLE_VERSION, "task_id": task.id}).encode()
    return Handle(HANDLE_VERSION, HandleState.RUNNING, state, None)


def task_id_of(handle: Handle) -> str:
    """Return the task id of a handle that Nomad hands back.

    Raises:
        ValueError: it is not one of ours, or of a newer version.
    """
    if handle.version > HANDLE_VERSION:
        raise ValueError(
            f"the handle has version {handle.version}, this driver knows {HANDLE_VERSION}: a newer driver made"
            " it"
        )
    if handle.driver_state:
        return _task_id_in(handle.driver_state)
    if handle.spec is None or not handle.spec.id:
        raise ValueError("the handle names no task")
    return handle.spec.id


def _task_id_in(state: bytes) -> str:
    try:
        task_id = json.loads(state)["task_id"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError("the handle is not one of this driver's: its state cannot be read") from error
    if not isinstance(task_id, str) or not task_id:
        raise ValueError("the handle is not one of this driver's: it names no task")
    return task_id


def network_of(task: Task) -> DriverNetwork | None:
    """Return the task's own address, if it has one."""
    if not task.plan.ip:
        return None
    return DriverNetwork(task.plan.ip, auto_advertise=True, port_map=dict(task.plan.ports))


def status_of(task: Task) -> TaskStatus:
    """Return the answer to InspectTask."""
    running = task.state is not State.STOPPED
    attributes = {
        "state": str(task.state),
        "jail": task.plan.jail_name,
        "root": f"{task.plan.directory}/root",
    }
    if task.jid is not None:
        attributes["jid"] = str(task.jid)
    if task.main is not None:
        attributes["pid"] = str(task.main.pid)
    if task.reason:
        attributes["reason"] = task.reason
    if task.leftovers:
        attributes["leftovers"] = ", ".join(task.leftovers)
    return TaskStatus(
        id=task.id,
        name=task.plan.task_name,
        state=HandleState.RUNNING if running else HandleState.EXITED,
        started_at_ns=task.started_at_ns,
        completed_at_ns=task.stopped_at_ns,
        result=ExitResult(0) if running else exit_result(task),
        attributes=attributes,
        network=network_of(task),
    )
