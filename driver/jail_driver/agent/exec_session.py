"""The caller's side of ExecTaskStreaming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from jail_driver.agent import decode
from jail_driver.agent.stub import plugin_error
from jail_driver.plugin.pb import driver_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from jail_driver.model import ExitResult


class ExecSession:
    """One running command.

    A caller that expects to be refused sends nothing after ``begin``: a message that meets the end of the call
    makes grpc.aio forget the plugin's sentence for an error of its own.

    Args:
        call: the open gRPC call.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self.result: ExitResult | None = None
        """Set once ``outputs`` has ended."""

    async def begin(self, task_id: str, argv: Sequence[str], *, tty: bool) -> None:
        """Sends the setup."""
        setup = pb.ExecTaskStreamingRequest.Setup(task_id=task_id, command=argv, tty=tty)
        await self._call.write(pb.ExecTaskStreamingRequest(setup=setup))

    async def send(self, data: bytes) -> None:
        """Sends to the command's stdin."""
        await self._call.write(pb.ExecTaskStreamingRequest(stdin=pb.ExecTaskStreamingIOOperation(data=data)))

    async def close_stdin(self) -> None:
        """Ends the command's stdin."""
        await self._call.write(pb.ExecTaskStreamingRequest(stdin=pb.ExecTaskStreamingIOOperation(close=True)))

    async def resize(self, height: int, width: int) -> None:
        """Sets the terminal's size, characters."""
        size = pb.ExecTaskStreamingRequest.TerminalSize(height=height, width=width)
        await self._call.write(pb.ExecTaskStreamingRequest(tty_size=size))

    async def heartbeat(self) -> None:
        """Sends the empty message that Nomad sends every ten seconds."""
        await self._call.write(pb.ExecTaskStreamingRequest())

    async def outputs(self) -> AsyncIterator[tuple[str, bytes]]:
        """Yields ("stdout" or "stderr", data) until the command has ended; then ``result`` is set.

        Raises:
            PluginError: the plugin refused, or is gone.
        """
        try:
            async for answer in self._call:
                if answer.HasField("stdout") and answer.stdout.data:
                    yield "stdout", answer.stdout.data
                if answer.HasField("stderr") and answer.stderr.data:
                    yield "stderr", answer.stderr.data
                if answer.exited:
                    self.result = decode.exit_result(answer.result)
        except grpc.aio.AioRpcError as error:
            raise plugin_error("ExecTaskStreaming", error) from error
        finally:
            self._call.cancel()
