"""Tasks that Nomad has destroyed and asks for again, as their kept histories tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jail_driver import log
from jail_driver.errors import UnknownTaskError
from jail_state.core.task import Task, replay
from jail_state.store.errors import UnavailableError

if TYPE_CHECKING:
    from jail_driver.engine.node import Node

_log = log.get("engine")


class Past:
    """Answers for tasks that are no more, from RecoverTask until the next DestroyTask.

    An agent that dies between DestroyTask and noting that the task is dead asks for it again, and would run it a
    second time after an error (restoreHandle in Nomad's task_runner.go).
    """

    def __init__(self) -> None:
        self._tasks: dict[str, Task | None] = {}
        """None for one that was asked for while the store could not be read."""

    async def recall(self, node: Node, task_id: str) -> None:
        """Take a task back that is no more; one that cannot be read now is read when it is asked for.

        Raises:
            UnknownTaskError: there is no history of this id.
        """
        self._tasks[task_id] = None
        try:
            await self.of(node, task_id)
        except UnavailableError as error:
            _log.warning("cannot read now how a task ended", task_id=task_id, error=str(error))

    async def of(self, node: Node, task_id: str) -> Task | None:
        """Return a task that was taken back; None if it was not.

        Raises:
            UnknownTaskError: there is no history of this id.
            jail_state.store.errors.UnavailableError: it cannot be read now.
        """
        if task_id not in self._tasks:
            return None
        task = self._tasks[task_id]
        if task is None:
            history = await node.runtime.journal.read(task_id)
            if not history:
                self.forget(task_id)
                raise UnknownTaskError(task_id)
            task = self._tasks[task_id] = replay(history)
        return task

    def forget(self, task_id: str) -> None:
        """Nomad has destroyed it anew; one that was never asked for is fine."""
        self._tasks.pop(task_id, None)
