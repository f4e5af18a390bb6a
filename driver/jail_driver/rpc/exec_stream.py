"""The two directions of ExecTaskStreaming (plugins/drivers/execstreaming.go of Nomad)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from grpc.aio import EOF

from jail_driver.errors import ConfigError
from jail_driver.plugin.pb import driver_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from grpc.aio import ServicerContext


async def receive_setup(context: ServicerContext[Any, Any]) -> pb.ExecTaskStreamingRequest.Setup:
    """Reads the first message.

    Raises:
        ConfigError: it is not the setup.
    """
    message = await context.read()
    if message is EOF or not message.HasField("setup"):
        raise ConfigError("exec: the first message must be the setup")
    setup: pb.ExecTaskStreamingRequest.Setup = message.setup
    return setup


class GrpcExecStream:
    """One call's streams as plain data (``jail_driver.service.ExecStream``)."""

    def __init__(self, context: ServicerContext[Any, Any]) -> None:
        self._context = context
        self._sending = asyncio.Lock()

    async def requests(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yields stdin, its end and terminal sizes, and heartbeats: messages without any of them."""
        while (message := await self._context.read()) is not EOF:
            if not message.HasField("tty_size") and not message.HasField("stdin"):
                yield {"heartbeat": True}
            if message.HasField("tty_size"):
                yield {"tty_size": (message.tty_size.height, message.tty_size.width)}
            if message.stdin.data:
                yield {"stdin": message.stdin.data}
            if message.stdin.close:
                yield {"stdin_close": True}

    async def send(self, stream: str, data: bytes, *, close: bool = False) -> None:
        """Sends output of "stdout" or "stderr"."""
        operation = pb.ExecTaskStreamingIOOperation(data=data, close=close)
        answer = (
            pb.ExecTaskStreamingResponse(stdout=operation)
            if stream == "stdout"
            else pb.ExecTaskStreamingResponse(stderr=operation)
        )
        async with self._sending:  # gRPC refuses two writes at once, and two pumps share this call
            await self._context.write(answer)
