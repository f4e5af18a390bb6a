"""All tasks at a glance: a table for people, a document for programs."""

from __future__ import annotations

import json
from typing import Any, Final

from jail_state.core.decide import exit_sentence
from jail_state.core.events import MainExited
from jail_state.core.task import Task, replay
from jail_state.dump.choose import UNSOUND, Histories, by_time, plan_of, states
from jail_state.dump.text import plain, printable, time_text
from jail_state.store.port import History

SCHEMA_VERSION: Final = 1
"""Of the JSON document; a key may be added under the same number, never changed or removed."""

_HEADER: Final = ("ALLOC", "TASK", "STATE", "JID", "MAIN", "EXIT", "SINCE", "NOTE")
_ALLOC_DIGITS: Final = 8


def tasks_table(histories: Histories) -> str:
    """Return all tasks as a table for people, the one that changed last at the end."""
    rows = [_HEADER, *(_row(history) for history in by_time(histories))]
    if len(rows) == 1:
        return "no tasks\n"
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{one.rstrip()}\n" for one in lines)


def tasks_json(histories: Histories) -> str:
    """Return all tasks as one JSON document for programs."""
    tasks = [_document(history) for history in by_time(histories)]
    return json.dumps({"schema_version": SCHEMA_VERSION, "tasks": tasks}, indent=2) + "\n"


def _row(history: History) -> tuple[str, ...]:
    plan = plan_of(history)
    names = (printable(plan.alloc_id[:_ALLOC_DIGITS]) or "-", printable(plan.task_name) or "-")
    try:
        task = replay(history)
    except UNSOUND as error:
        note = f"events that cannot follow one another: {error}"
        return (*names, "?", "-", "-", "-", time_text(history[-1].at_ns), printable(note))
    return (
        *names,
        str(task.state),
        "-" if task.jid is None else str(task.jid),
        "-" if task.main is None else str(task.main.pid),
        _exit_text(task.exit),
        time_text(states(history)[-1][1]),
        printable(_note(task)),
    )


def _exit_text(exited: MainExited | None) -> str:
    if exited is None:
        return "-"
    if exited.unknown_because:
        return "unknown"
    text = f"signal {exited.signal}" if exited.signal else str(exited.exit_code)
    return f"{text} (out of memory)" if exited.oom_killed else text


def _note(task: Task) -> str:
    flight = task.in_flight
    parts = [
        task.reason,
        f"doing: {flight.key}" if flight is not None else "",
        *(f"left over: {_leftover(task, key)}" for key in task.leftovers),
        "destroyed" if task.destroyed else "",
    ]
    return "; ".join(part for part in parts if part)


def _leftover(task: Task, key: str) -> str:
    record = task.records.get(key)
    return f"{key} ({record.error})" if record is not None and record.error else key


def _document(history: History) -> dict[str, Any]:
    base: dict[str, Any] = {
        "id": history[0].stream,
        "version": history[-1].seq,
        "changed_at_ns": history[-1].at_ns,
    }
    try:
        task = replay(history)
    except UNSOUND as error:
        return {**base, "state": None, "error": str(error)}
    return {**base, **_wish(task), **_life(history), **_facts(task)}


def _wish(task: Task) -> dict[str, Any]:
    plan = task.plan
    return {
        "task_name": plan.task_name,
        "alloc_id": plan.alloc_id,
        "job_id": plan.job_id,
        "namespace": plan.namespace,
        "directory": plan.directory,
        "ip": plan.ip,
        "ports": dict(plan.ports),
        "persist": plan.persist,
    }


def _life(history: History) -> dict[str, Any]:
    moments = states(history)
    return {
        "state": str(moments[-1][0]),
        "states": [{"state": str(state), "at_ns": at_ns} for state, at_ns in moments],
    }


def _facts(task: Task) -> dict[str, Any]:
    exited = task.exit
    steps = (*task.plan.steps, *task.plan.teardown)
    return {
        "jail": {"name": task.plan.jail_name, "jid": task.jid, "lost": task.jail_lost},
        "supervisor": plain(task.supervisor),
        "main": plain(task.main),
        "exit": None if exited is None else {**plain(exited), "text": exit_sentence(exited)},
        "ended_by": None if task.trigger is None else str(task.trigger),
        "reason": task.reason,
        "recoverable": task.recoverable,
        "leftovers": list(task.leftovers),
        "destroyed": task.destroyed,
        "started_at_ns": task.started_at_ns,
        "stopped_at_ns": task.stopped_at_ns,
        "steps": [
            {"key": step.key, "kind": str(step.kind), **plain(task.records[step.key])}
            for step in steps
            if step.key in task.records
        ],
    }
