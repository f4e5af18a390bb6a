"""A task's life as ``jail-task-driver state-dump --json --events`` tells it."""

from __future__ import annotations

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
        events: the events whole.
    """

    id: str
    jail: str
    states: tuple[str, ...]
    names: tuple[str, ...]
    events: tuple[Mapping[str, Any], ...]

    @classmethod
    def read(cls, task: Mapping[str, Any]) -> History:
        """Reads one entry of the dump's ``tasks``."""
        events = tuple(task["events"])
        states = tuple(dict.fromkeys(event["state"] for event in events))
        return cls(task["id"], task["jail_name"], states, tuple(event["name"] for event in events), events)
