"""The services that go-plugin expects beside the plugin's own (grpc_server.go of hashicorp/go-plugin)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jail_driver.plugin.pb import goplugin_pb2, health_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jail_driver.activity import Activity

HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"]
BROKER_SERVICE = goplugin_pb2.DESCRIPTOR.services_by_name["GRPCBroker"]
CONTROLLER_SERVICE = goplugin_pb2.DESCRIPTOR.services_by_name["GRPCController"]
STDIO_SERVICE = goplugin_pb2.DESCRIPTOR.services_by_name["GRPCStdio"]


class Health:
    """gRPC's health protocol: a process that answers is healthy, whatever service is asked for."""

    async def check(self, _request: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckResponse:
        """Answers SERVING; go-plugin asks for "plugin" before it trusts a reattached process."""
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    async def watch(
        self, _request: health_pb2.HealthCheckRequest
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Answers SERVING and stays open."""
        yield health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
        await asyncio.Event().wait()


class Broker:
    """Side connections: no driver offers any, but every host opens the stream and keeps it open."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity

    async def start_stream(self, requests: AsyncIterator[goplugin_pb2.ConnInfo], _context: Any) -> None:
        """Reads until the host leaves."""
        with self._activity.stream("StartStream"):
            async for _ in requests:
                pass


class Stdio:
    """Output printed after the handshake: we print none, so the stream stays quiet."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity

    async def stream_stdio(self, _request: object) -> AsyncIterator[goplugin_pb2.StdioData]:
        """Stays open until the host leaves."""
        with self._activity.stream("StreamStdio"):
            await asyncio.Event().wait()
            yield goplugin_pb2.StdioData()


class Controller:
    """The host's request to end."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    async def shutdown(self, _request: goplugin_pb2.Empty) -> goplugin_pb2.Empty:
        """Answers and lets the server end; SIGKILL follows after two seconds (client.go)."""
        self._stop.set()
        return goplugin_pb2.Empty()
