"""A task's life as ``jail-task-driver state-dump`` tells it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class History:
    """One task of the event store.

    Args:
        id: Nomad's task id.
        jail: the jail's name.
        states: the states it was in, in order, each once.
        names: the names of its events in order.
        events: the events whole, as the event log has them.
    """

    id: str
    jail: str
    states: tuple[str, ...]
    names: tuple[str, ...]
    events: tuple[Mapping[str, Any], ...]

    def exits(self) -> list[tuple[int, int]]:
        """How main ended, as (exit code, signal); a true history has one."""
        found = [event["data"] for event in self.events if event["name"] == "main-exited"]
        return [(one["exit_code"], one["signal"]) for one in found]


def read(tasks: str, events: str, alloc_id: str) -> list[History]:
    """Reads the histories of one allocation.

    Args:
        tasks: what ``state-dump --json`` printed.
        events: what ``state-dump --json --events`` printed.
        alloc_id: Nomad's allocation id.
    """
    lines = [json.loads(line) for line in events.splitlines()]
    return [
        History(
            id=task["id"],
            jail=task["jail"]["name"],
            states=tuple(moment["state"] for moment in task["states"]),
            names=tuple(line["name"] for line in lines if line["stream"] == task["id"]),
            events=tuple(line for line in lines if line["stream"] == task["id"]),
        )
        for task in json.loads(tasks)["tasks"]
        if task["alloc_id"] == alloc_id
    ]
