"""What stands around each RPC: the task id in the log, errors as statuses, a start's recoverable detail."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from jail_driver import log
from jail_driver.rpc import status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from grpc.aio import ServicerContext

START = "StartTask"
TASK_ID_AT = (("task_id",), ("task", "id"), ("handle", "config", "id"))
"""Where the requests of driver.proto hold the task's id."""

logger = log.get("rpc")


@asynccontextmanager
async def guard(rpc: str, request: Any, context: ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """Ends the call of a method that raised.

    Raises:
        grpc.aio.AbortError: gRPC's way to end a call.
    """
    with log.bound(**_fields(request)):
        try:
            yield
        except Exception as error:  # noqa: BLE001  # each kind is in the table, a defect in its last row
            await _end(rpc, error, context)


async def _end(rpc: str, error: Exception, context: ServicerContext[Any, Any]) -> None:
    message = status.text(error)
    if context.done():
        logger.debug("the caller left before its answer", rpc=rpc, error=message)
        return
    if status.is_expected(error):
        logger.info("refused", rpc=rpc, error=message)
    else:
        logger.error("an RPC failed", rpc=rpc, error=message, exc_info=error)
    verdict = status.verdict(error)
    if rpc != START or verdict.recoverable is None:
        await context.abort(verdict.code, message)
    code = grpc.StatusCode.FAILED_PRECONDITION
    details = status.start_details(code, message, recoverable=bool(verdict.recoverable))
    await context.abort(code, message, ((status.DETAILS_KEY, details),))


def _fields(request: Any) -> dict[str, str]:
    for path in TASK_ID_AT:
        found = request
        for name in path:
            found = getattr(found, name, None)
        if found:
            return {"task_id": found}
    return {}
