"""What a task's steps work with: its stream, the context of their handlers, what only its files say."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from typing_extensions import override

from jail_driver import log
from jail_driver.engine import private as private_file
from jail_driver.engine.steps import Context
from jail_driver.engine.stream import TaskStream
from jail_state.core.task import Task

if TYPE_CHECKING:
    from jail_driver.engine.runtime import Runtime

_log = log.get("engine")


class TaskWork(TaskStream):
    """One task and the means to work on it. All methods are called on the event loop.

    Args:
        runtime: what all tasks share.
        task: the snapshot to begin with.
    """

    def __init__(self, runtime: Runtime, task: Task) -> None:
        super().__init__(runtime, task)
        self.force = asyncio.Event()
        """Set once somebody asked to skip grace."""
        self.teardown_since_s: float | None = None
        """When this plugin began what of the teardown is bounded in time, time.monotonic()."""
        self.context = Context(
            task=task,
            directory=runtime.state.task(task.id),
            private=None,
            launch=None,
            host=runtime.host,
            runner=runtime.runner,
            tools=runtime.tools,
            helper=runtime.helper,
            others=lambda: runtime.others(task.id),
            apply=self.apply,
            evidence=runtime.evidence,
            exits=runtime.exits,
            force=self.force,
        )

    @override
    def folded(self) -> None:
        self.context.task = self.task
        if self.teardown_since_s is None and self.task.teardown_since_ns is not None:
            self.teardown_since_s = time.monotonic()
        if self.task.forced:
            self.force.set()

    def read_private(self) -> str:
        """Read what the teardown owes, unless that is known; returns why it cannot be known, empty if it can.

        Raises:
            OSError: it cannot be read now; try again.
        """
        context = self.context
        if context.private is None:
            try:
                context.private = private_file.read(context.directory.private)
            except private_file.DamagedError as error:
                # A repeated StartTask carries the same once more.
                context.private = None if context.launch is None else context.launch.private
                if context.private is None:
                    _log.warning("cannot read what the task owes", task_id=self.task.id, error=str(error))
                    return str(error)
        return ""
