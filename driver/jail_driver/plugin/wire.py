"""gRPC handlers made from a protobuf service descriptor: no generated service code to keep in step.

A servicer is a plain object with one method for each RPC, named in snake_case. Everything that holds for
all RPCs (errors to statuses, logging) is one guard around each method.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from google.protobuf import message_factory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from grpc.aio import ServicerContext


class Guard(Protocol):
    """Turns what a method raised into the end of the call."""

    async def __call__(self, method: str, error: Exception, context: ServicerContext[Any, Any]) -> None:
        """Logs the error and aborts the call; never returns normally."""
        ...


def snake_case(name: str) -> str:
    """Returns the Python name of an RPC.

    >>> snake_case("ExecTaskStreaming")
    'exec_task_streaming'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def service_handler(service: ServiceDescriptor, servicer: object, guard: Guard) -> grpc.GenericRpcHandler:
    """Returns the handler of one service.

    Args:
        service: from a generated module, for example ``driver_pb2.DESCRIPTOR.services_by_name["Driver"]``.
        servicer: unary RPCs are ``async def f(request) -> response``; streaming answers are
            ``def f(request) -> AsyncIterator[response]``; RPCs with two streams are
            ``async def f(requests, context)``.
        guard: what to do with an error.

    Raises:
        AttributeError: the servicer lacks an RPC of the service.
    """
    methods = {method.name: _handler(method, servicer, guard) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def _handler(method: MethodDescriptor, servicer: object, guard: Guard) -> grpc.RpcMethodHandler[Any, Any]:
    function = getattr(servicer, snake_case(method.name))
    request = message_factory.GetMessageClass(method.input_type)
    response = message_factory.GetMessageClass(method.output_type)
    if method.client_streaming:
        make: Callable[..., grpc.RpcMethodHandler[Any, Any]] = grpc.stream_stream_rpc_method_handler
        behaviour = _both_streams(method.name, function, guard)
    elif method.server_streaming:
        make = grpc.unary_stream_rpc_method_handler
        behaviour = _answer_stream(method.name, function, guard)
    else:
        make = grpc.unary_unary_rpc_method_handler
        behaviour = _unary(method.name, function, guard)
    return make(
        behaviour, request_deserializer=request.FromString, response_serializer=response.SerializeToString
    )


def _unary(name: str, function: Callable[[Any], Awaitable[Any]], guard: Guard) -> Callable[..., Any]:
    async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
        try:
            return await function(request)
        except Exception as error:  # noqa: BLE001  # the guard reports each kind
            await guard(name, error, context)

    return call


def _answer_stream(
    name: str, function: Callable[[Any], AsyncIterator[Any]], guard: Guard
) -> Callable[..., Any]:
    async def call(request: Any, context: ServicerContext[Any, Any]) -> None:
        try:
            async with aclosing(function(request)) as answers:  # type: ignore[type-var]  # an async generator
                async for answer in answers:
                    await context.write(answer)
        except Exception as error:  # noqa: BLE001  # the guard reports each kind
            await guard(name, error, context)

    return call


def _both_streams(name: str, function: Callable[..., Awaitable[None]], guard: Guard) -> Callable[..., Any]:
    async def call(requests: AsyncIterator[Any], context: ServicerContext[Any, Any]) -> None:
        try:
            await function(requests, context)
        except Exception as error:  # noqa: BLE001  # the guard reports each kind
            await guard(name, error, context)

    return call
