"""gRPC handlers made from a protobuf service descriptor: no generated service code to keep in step.

A servicer is a plain object with one method for each RPC, named in snake_case. Everything that holds for
all RPCs (errors to statuses, log fields) is one guard around each call.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from google.protobuf import message_factory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from grpc.aio import ServicerContext


class Guard(Protocol):
    """What stands around each call."""

    def __call__(
        self, rpc: str, request: Any, context: ServicerContext[Any, Any]
    ) -> AbstractAsyncContextManager[None]:
        """Turns what the method raises into the end of the call; ``request`` is None for a stream of them."""
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
        servicer: unary RPCs are ``async def f(request) -> response``; streaming answers are async
            generators ``f(request)``; RPCs with two streams are ``async def f(requests, context)``.
        guard: stands around each call.

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


def _unary(rpc: str, function: Callable[[Any], Awaitable[Any]], guard: Guard) -> Callable[..., Any]:
    async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
        async with guard(rpc, request, context):
            return await function(request)

    return call


def _answer_stream(
    rpc: str, function: Callable[[Any], AsyncIterator[Any]], guard: Guard
) -> Callable[..., Any]:
    async def call(request: Any, context: ServicerContext[Any, Any]) -> None:
        async with guard(rpc, request, context), aclosing(function(request)) as answers:  # type: ignore[type-var]  # an async generator
            async for answer in answers:
                await context.write(answer)

    return call


def _both_streams(rpc: str, function: Callable[..., Awaitable[None]], guard: Guard) -> Callable[..., Any]:
    async def call(requests: AsyncIterator[Any], context: ServicerContext[Any, Any]) -> None:
        async with guard(rpc, None, context):
            await function(requests, context)

    return call
