"""Callable RPCs made from a protobuf service descriptor, and what their errors become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import message_factory

from jail_driver.errors import DriverError
from jail_driver.plugin.pb import status_pb2, structs_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from grpc.aio import Channel

DETAILS_KEY = "grpc-status-details-bin"


class PluginError(DriverError):
    """The plugin refused a call, or it is gone.

    Args:
        rpc: the RPC's name.
        code: gRPC's name of the status, such as ``NOT_FOUND``; ``UNAVAILABLE`` means that nobody answers.
        text: the plugin's sentence.
        recoverable: whether a failed start may be tried again; None where the plugin does not say.
    """

    def __init__(self, rpc: str, code: str, text: str, *, recoverable: bool | None) -> None:
        self.rpc = rpc
        self.code = code
        self.text = text
        self.recoverable = recoverable
        super().__init__(f"{rpc}: {text}" if text else f"{rpc}: {code}")


class Stub:
    """One service of a plugin: ``stub.method("StartTask")`` is what gRPC calls a multi-callable.

    Args:
        channel: an open channel.
        service: from a generated module.
    """

    def __init__(self, channel: Channel, service: ServiceDescriptor) -> None:
        self._calls = {method.name: _multi_callable(channel, service, method) for method in service.methods}

    def method(self, name: str) -> Any:
        """Returns one RPC.

        Raises:
            KeyError: the service has none of this name.
        """
        return self._calls[name]

    async def call(self, name: str, request: Any) -> Any:
        """Makes one unary call.

        Raises:
            PluginError: the plugin refused, or is gone.
        """
        try:
            return await self._calls[name](request)
        except grpc.aio.AioRpcError as error:
            raise plugin_error(name, error) from error


def plugin_error(rpc: str, error: grpc.aio.AioRpcError) -> PluginError:
    """Returns our error for gRPC's, with the recoverable detail read as Nomad's client reads it."""
    return PluginError(rpc, error.code().name, error.details() or "", recoverable=_recoverable(error))


def _recoverable(error: grpc.aio.AioRpcError) -> bool | None:
    raw = next((value for key, value in error.trailing_metadata() or () if key == DETAILS_KEY), None)
    if not isinstance(raw, bytes):
        return None
    status = status_pb2.Status.FromString(raw)
    detail = structs_pb2.RecoverableError()
    if not status.details or not status.details[0].Unpack(detail):
        return None
    return detail.recoverable


def _multi_callable(channel: Channel, service: ServiceDescriptor, method: MethodDescriptor) -> Any:
    if method.client_streaming:
        make: Any = channel.stream_stream
    elif method.server_streaming:
        make = channel.unary_stream
    else:
        make = channel.unary_unary
    return make(
        f"/{service.full_name}/{method.name}",
        request_serializer=message_factory.GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )
