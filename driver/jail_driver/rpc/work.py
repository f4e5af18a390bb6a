"""The service behind the RPCs: made at the first call that needs it, never cancelled by a caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from jail_driver import log
from jail_driver.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from jail_driver.service import DriverService

T = TypeVar("T")
logger = log.get("rpc")


class Work:
    """Holds the service and the work that callers left behind.

    Nomad launches a plugin twice only to ask for its name and schemas (helper/pluginutils/loader/init.go),
    so the service is made when an RPC first needs it.

    Args:
        factory: makes the service; called once.
    """

    def __init__(self, factory: Callable[[], DriverService]) -> None:
        self._factory = factory
        self._service: DriverService | None = None
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def service(self) -> DriverService:
        """The service, made now if need be."""
        if self._service is None:
            logger.debug("first used", version=__version__)
            self._service = self._factory()
        return self._service

    async def finish(self, effect: Coroutine[Any, Any, T]) -> T:
        """Runs work that goes on when its caller has gone.

        An agent that dies in the middle of StartTask must not leave half a jail.

        Raises:
            Exception: whatever the work raised; logged instead where no caller is left.
        """
        task = asyncio.ensure_future(effect)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                task.add_done_callback(_report_unheard)
            raise


def _report_unheard(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        logger.warning("work ended with an error after its caller had gone", error=str(error))
