"""What happens to an error of an RPC: the log, the status, for a start the recoverable detail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from jail_driver import log
from jail_driver.rpc import status

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

START = "StartTask"
logger = log.get("rpc")


async def guard(method: str, error: Exception, context: ServicerContext[Any, Any]) -> None:
    """Ends a call whose method raised.

    Raises:
        grpc.aio.AbortError: always, unless the caller has gone: gRPC's way to end a call.
    """
    message = status.text(error)
    if context.done():
        logger.debug("the caller left before its answer", rpc=method, error=message)
        return
    if status.is_expected(error):
        logger.info("refused", rpc=method, error=message)
    else:
        logger.error("an RPC failed", rpc=method, error=message, exc_info=error)
    answer = status.verdict(error)
    if method != START or answer.recoverable is None:
        await context.abort(answer.code, message)
    code = grpc.StatusCode.FAILED_PRECONDITION
    details = status.start_details(code, message, recoverable=bool(answer.recoverable))
    await context.abort(code, message, ((status.DETAILS_KEY, details),))
