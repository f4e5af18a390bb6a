"""What each step does to the host of the model, and what can be seen of it afterwards.

The counterpart of ``jail_driver.engine.steps``: the same rules, without processes and paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jail_state.core import events as ev
from jail_state.core.ids import ProcessIdentity
from jail_state.core.reconcile import Seen, StepSeen
from jail_state.core.steps import Step, StepKind
from jail_state.core.task import Task
from model.world import OURS, PATH, BusyError, Jail, World

Result = dict[str, Any]
COMMANDS = frozenset(StepKind) - {
    StepKind.FILES,
    StepKind.SUPERVISOR,
    StepKind.MAIN,
    StepKind.SUPERVISOR_END,
    StepKind.MAIN_STOP,
    StepKind.MOUNT_POINT,
    StepKind.MOUNT_POINT_REMOVE,
    StepKind.JAIL_GONE,
    StepKind.FILES_REMOVE,
}
"""Kinds that run a command, which outlives the plugin."""

_MADE_BY = {"exec.prepare": "conf", "exec.release": "conf"}


class AgainError(Exception):
    """Not done yet: try again."""


def our_jail(w: World, task: Task, bugs: frozenset[str]) -> Jail | None:
    """Return our jail, dying or not: by name, path and jid (mutants trust less)."""
    for jail in w.look_at_jails():
        if "jid-only" in bugs and task.jid is not None:
            if jail.jid == task.jid:
                return jail
            continue
        if jail.name != OURS or (jail.path != PATH and "name-only" not in bugs):
            continue
        if task.jid is None or jail.jid == task.jid or jail.dying is not None:
            return jail
    return None


def before(w: World, step: Step) -> Result:
    """Look at the host just before a step."""
    match step.kind:
        case StepKind.ADDRESS:
            return {"present": step.key in w.addresses, "ours": step.key not in w.addresses}
        case StepKind.MOUNT_POINT:
            return {"ours": step.key not in w.disk}
        case StepKind.MOUNT:
            return {"below": [fsid for fsid, target in w.mounts if target == step.key]}
        case _:
            return {}


def perform(w: World, task: Task, step: Step, bugs: frozenset[str]) -> Result:
    """Do a step.

    Raises:
        BusyError: the kernel refuses.
        AgainError: not yet.
    """
    return _DO[step.kind](w, task, step, bugs)


def _files(w: World, _task: Task, _step: Step, _bugs: frozenset[str]) -> Result:
    w.disk |= {"files"}
    return {}


def _hook(w: World, _task: Task, step: Step, _bugs: frozenset[str]) -> Result:
    hook = str(step.args["hook"])
    w.truth.hooks = (*w.truth.hooks, step.key)
    if hook == "exec.prepare":
        w.disk |= {"conf"}
    elif hook == "exec.release":
        w.disk -= {"conf"}
    elif hook == "exec.prestart":
        w.epair = "host"
    elif hook == "exec.poststop":
        if w.epair == "jail":
            w.fault("exec.poststop ran while the interface was still in the jail")
        w.epair = ""
    elif hook in ("exec.prestop", "exec.stop") and not any(jail.path == PATH for jail in w.jails):
        w.fault(f"{hook} ran without a jail")
    return {}


def _address(w: World, _task: Task, step: Step, _bugs: frozenset[str]) -> Result:
    w.addresses |= {step.key}
    return {}


def _mount_point(w: World, _task: Task, step: Step, _bugs: frozenset[str]) -> Result:
    w.disk |= {step.key}
    return {}


def _mount(w: World, _task: Task, step: Step, _bugs: frozenset[str]) -> Result:
    fsid = 1 + max((fsid for fsid, _target in w.mounts), default=0)
    w.mounts = (*w.mounts, (fsid, step.key))
    return {"fsid": fsid}


def _rule(w: World, _task: Task, step: Step, _bugs: frozenset[str]) -> Result:
    w.rules |= {step.key}
    return {}


def _jail(w: World, _task: Task, _step: Step, _bugs: frozenset[str]) -> Result:
    if not w.mounts:
        w.fault("the jail was made without its root")
    return {"jid": w.create_jail()}


def _interface(w: World, _task: Task, _step: Step, _bugs: frozenset[str]) -> Result:
    if w.epair != "host":
        raise BusyError("no such interface")
    w.epair = "jail"
    return {}


def _supervisor(w: World, _task: Task, _step: Step, _bugs: frozenset[str]) -> Result:
    w.supervisor = "waiting"
    w.disk |= {"sup"}
    return {"pid": 50, "started_ticks": w.ticks, "boot_id": f"boot-{w.boot}"}


def _main(w: World, _task: Task, _step: Step, _bugs: frozenset[str]) -> Result:
    if w.supervisor == "waiting":
        w.order()
    if w.identity is None:
        raise BusyError("the supervisor is gone")
    return _process(w.identity)


def _process(identity: ProcessIdentity) -> Result:
    return {"pid": identity.pid, "started_ticks": identity.started_ticks, "boot_id": identity.boot_id}


def _main_stop(w: World, task: Task, _step: Step, bugs: frozenset[str]) -> Result:
    if "pid-only" in bugs and task.main is not None:
        hit = [process for process in w.processes if process.pid == task.main.pid]
        w.truth.hits = (*w.truth.hits, *(process.owner for process in hit))
    if w.supervisor == "running":
        w.truth.hits = (*w.truth.hits, "main")
        w.end_main(15)
    return {}


def _processes_kill(w: World, task: Task, _step: Step, bugs: frozenset[str]) -> Result:
    jail = our_jail(w, task, bugs)
    if jail is None or jail.dying is not None:
        return {}
    if jail.path == PATH:
        w.end_main(137)
    else:
        w.truth.hits = (*w.truth.hits, "foreign")
    return {}


def _supervisor_end(w: World, _task: Task, _step: Step, _bugs: frozenset[str]) -> Result:
    if w.supervisor == "waiting":
        w.supervisor = ""
    if w.supervisor:
        raise AgainError
    return {}


def _interface_back(w: World, _task: Task, _step: Step, _bugs: frozenset[str]) -> Result:
    w.epair = "host" if w.epair == "jail" else w.epair
    return {}


def _jail_remove(w: World, task: Task, _step: Step, bugs: frozenset[str]) -> Result:
    jail = our_jail(w, task, bugs)
    if jail is not None and jail.dying is None:
        w.remove_jail(jail.jid)
    return {}


def _jail_gone(w: World, task: Task, _step: Step, bugs: frozenset[str]) -> Result:
    if "unmount-early" not in bugs and our_jail(w, task, bugs) is not None:
        raise AgainError
    return {}


def _unmount(w: World, task: Task, step: Step, _bugs: frozenset[str]) -> Result:
    if w.root_is_busy:
        w.fault(f"{step.key} while a jail still held its root")
    record = task.records.get(step.undoes or "")
    fsid = None if record is None else record.result.get("fsid")
    found = [one for one in w.mounts if one[1] == step.undoes and fsid in (None, one[0])]
    w.mounts = tuple(one for one in w.mounts if one not in found[-1:])
    return {}


def _ours(task: Task, step: Step) -> bool:
    record = task.records.get(step.undoes or "")
    return record is not None and bool(record.before.get("ours"))


def _mount_point_remove(w: World, task: Task, step: Step, bugs: frozenset[str]) -> Result:
    if _ours(task, step) or "not-ours" in bugs:
        w.disk -= {step.undoes or ""}
    return {}


def _address_remove(w: World, task: Task, step: Step, bugs: frozenset[str]) -> Result:
    if task.boot_id == task.plan.boot_id and (_ours(task, step) or "not-ours" in bugs):
        w.addresses -= {step.undoes or ""}
    return {}


def _rules_remove(w: World, _task: Task, _step: Step, _bugs: frozenset[str]) -> Result:
    w.rules = frozenset()
    return {}


def _files_remove(w: World, _task: Task, _step: Step, _bugs: frozenset[str]) -> Result:
    w.disk -= {"files", "sup"}
    w.record = w.identity = None
    return {}


_DO: Mapping[StepKind, Callable[[World, Task, Step, frozenset[str]], Result]] = {
    StepKind.FILES: _files,
    StepKind.HOOK: _hook,
    StepKind.ADDRESS: _address,
    StepKind.MOUNT_POINT: _mount_point,
    StepKind.MOUNT: _mount,
    StepKind.RULE: _rule,
    StepKind.JAIL: _jail,
    StepKind.INTERFACE: _interface,
    StepKind.SUPERVISOR: _supervisor,
    StepKind.MAIN: _main,
    StepKind.MAIN_STOP: _main_stop,
    StepKind.PROCESSES_KILL: _processes_kill,
    StepKind.SUPERVISOR_END: _supervisor_end,
    StepKind.INTERFACE_BACK: _interface_back,
    StepKind.JAIL_REMOVE: _jail_remove,
    StepKind.JAIL_GONE: _jail_gone,
    StepKind.UNMOUNT: _unmount,
    StepKind.MOUNT_POINT_REMOVE: _mount_point_remove,
    StepKind.ADDRESS_REMOVE: _address_remove,
    StepKind.RULES_REMOVE: _rules_remove,
    StepKind.FILES_REMOVE: _files_remove,
}


def observe(w: World, task: Task, step: Step, bugs: frozenset[str]) -> StepSeen:
    """Look after a crash whether a step was done (each handler's ``observe``)."""
    if "redo" in bugs and step.kind is not StepKind.HOOK:
        return StepSeen(Seen.NOT_DONE)
    seen: Result | None = None
    intent = task.records[step.key].before
    match step.kind:
        case StepKind.HOOK if "hook-again" not in bugs and step.key in w.truth.hooks:
            return StepSeen(Seen.UNKNOWN, reason="a hook is not run twice")
        case StepKind.ADDRESS if step.key in w.addresses:
            seen = {}
        case StepKind.MOUNT_POINT if step.key in w.disk or not intent["ours"]:
            seen = {}
        case StepKind.RULE if step.key in w.rules:
            seen = {}
        case StepKind.MOUNT:
            new = [one for one in w.mounts if one[1] == step.key and one[0] not in intent["below"]]
            seen = {"fsid": new[-1][0]} if new else None
        case StepKind.JAIL:
            jail = our_jail(w, task, bugs)
            seen = {"jid": jail.jid} if jail is not None else None
        case StepKind.INTERFACE if w.epair == "jail":
            seen = {}
        case StepKind.MAIN:
            return _main_seen(w, bugs)
        case _:
            pass
    return StepSeen(Seen.NOT_DONE) if seen is None else StepSeen(Seen.DONE, seen)


def _main_seen(w: World, bugs: frozenset[str]) -> StepSeen:
    if "main-again" in bugs:
        return StepSeen(Seen.NOT_DONE)
    if w.supervisor == "ordered":
        w.order()  # observing waits until it has started main
    if w.identity is not None:
        return StepSeen(Seen.DONE, _process(w.identity))
    return StepSeen(Seen.NOT_DONE, reason="its supervisor ended before it was told to go")


def exited(w: World) -> ev.MainExited | None:
    """Read the supervisor's exit record."""
    return None if w.record is None else ev.MainExited(w.record)
