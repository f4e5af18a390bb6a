"""What the driver has on this node: what its tasks share, and the tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jail_driver.engine.actor import TaskActor
    from jail_driver.engine.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Node:
    """One per plugin, made at the first real use."""

    runtime: Runtime
    actors: dict[str, TaskActor]
    """By task id: every task that Nomad has not destroyed, or that has left something behind."""
