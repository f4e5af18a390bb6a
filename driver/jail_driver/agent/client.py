"""Typed calls to a running plugin: Nomad's part in plain data, for `jail-task-driver run` and for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import empty_pb2

from jail_driver import model
from jail_driver.agent import decode, encode
from jail_driver.agent.exec_session import ExecSession
from jail_driver.agent.stub import Stub, plugin_error
from jail_driver.plugin import goplugin
from jail_driver.plugin.handshake import grpc_target
from jail_driver.plugin.pb import base_pb2, driver_pb2, goplugin_pb2, health_pb2
from jail_driver.rpc import base, convert, driver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from jail_driver.hclspec import Spec

LONGEST_ERROR_BYTES = 256 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # The text of an error is a header; gRPC's C core allows 8 KiB, the Go client of an agent 16 MiB.
    ("grpc.max_metadata_size", LONGEST_ERROR_BYTES),
    ("grpc.absolute_max_metadata_size", LONGEST_ERROR_BYTES),
)
API_VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """Who the plugin is."""

    name: str
    version: str
    api_versions: tuple[str, ...]
    is_driver: bool


class DriverClient:
    """One connection to a plugin, also to one that another process launched (a reattach).

    Every call raises ``jail_driver.agent.stub.PluginError``: the plugin refused, or is gone.

    Args:
        address: the socket's path, from the handshake.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.aio.insecure_channel(grpc_target(address), options=OPTIONS)
        self._base = Stub(self._channel, base.SERVICE)
        self._driver = Stub(self._channel, driver.SERVICE)
        self._health = Stub(self._channel, goplugin.HEALTH_SERVICE)
        self._controller = Stub(self._channel, goplugin.CONTROLLER_SERVICE)
        self._broker: Any = None
        self._stdio: Any = None

    async def connect(self) -> None:
        """Does what go-plugin's client does first: opens its two standing streams, asks for health."""
        self._broker = Stub(self._channel, goplugin.BROKER_SERVICE).method("StartStream")()
        self._stdio = Stub(self._channel, goplugin.STDIO_SERVICE).method("StreamStdio")(empty_pb2.Empty())
        await self._health.call("Check", health_pb2.HealthCheckRequest(service="plugin"))

    async def close(self) -> None:
        """Leaves the plugin running."""
        for stream in (self._broker, self._stdio):
            if stream is not None:
                stream.cancel()
        await self._channel.close()

    async def shutdown(self) -> None:
        """Tells the plugin's process to end."""
        await self._controller.call("Shutdown", goplugin_pb2.Empty())

    async def plugin_info(self) -> PluginInfo:
        """Asks who the plugin is."""
        info = await self._base.call("PluginInfo", base_pb2.PluginInfoRequest())
        is_driver = info.type == base_pb2.PluginType.DRIVER
        return PluginInfo(info.name, info.plugin_version, tuple(info.plugin_api_versions), is_driver)

    async def config_schema(self) -> Spec:
        """Asks for the schema of the agent's plugin block."""
        return decode.schema((await self._base.call("ConfigSchema", base_pb2.ConfigSchemaRequest())).spec)

    async def set_config(self, config: Mapping[str, Any], *, real: bool) -> None:
        """Hands the decoded plugin block over; ``real`` is False in Nomad's launch that only validates."""
        nomad = base_pb2.NomadConfig(driver=base_pb2.NomadDriverConfig()) if real else None
        request = base_pb2.SetConfigRequest(
            msgpack_config=encode.config_bytes(config), nomad_config=nomad, plugin_api_version=API_VERSION
        )
        await self._base.call("SetConfig", request)

    async def init(self) -> None:
        """What Nomad calls at each dispense."""
        await self._driver.call("Init", driver_pb2.InitRequest())

    async def task_config_schema(self) -> Spec:
        """Asks for the schema of a job's config block."""
        answer = await self._driver.call("TaskConfigSchema", driver_pb2.TaskConfigSchemaRequest())
        return decode.schema(answer.spec)

    async def capabilities(self) -> driver_pb2.DriverCapabilities:
        """Asks what the driver offers."""
        answer = await self._driver.call("Capabilities", driver_pb2.CapabilitiesRequest())
        capabilities: driver_pb2.DriverCapabilities = answer.capabilities
        return capabilities

    def fingerprints(self) -> AsyncIterator[model.Fingerprint]:
        """Yields the driver's health, at once and on change."""
        return self._stream("Fingerprint", driver_pb2.FingerprintRequest(), decode.fingerprint)

    async def start(self, spec: model.TaskSpec) -> model.StartedTask:
        """Starts a task; the handle holds the config that the plugin echoed."""
        request = driver_pb2.StartTaskRequest(task=encode.task_config(spec))
        answer = await self._driver.call("StartTask", request)
        override = answer.network_override if answer.HasField("network_override") else None
        return model.StartedTask(
            convert.handle(answer.handle), None if override is None else decode.network(override)
        )

    async def recover(self, handle: model.Handle) -> None:
        """Hands a kept handle back."""
        await self._driver.call("RecoverTask", driver_pb2.RecoverTaskRequest(handle=encode.handle(handle)))

    async def wait(self, task_id: str) -> model.ExitResult:
        """Waits until the task has ended and is unmade."""
        answer = await self._driver.call("WaitTask", driver_pb2.WaitTaskRequest(task_id=task_id))
        return decode.exit_result(answer.result, answer.err)

    async def stop(self, task_id: str, *, timeout_s: float, signal: str = "") -> None:
        """Stops a task."""
        request = driver_pb2.StopTaskRequest(
            task_id=task_id, timeout=encode.duration(timeout_s), signal=signal
        )
        await self._driver.call("StopTask", request)

    async def destroy(self, task_id: str, *, force: bool = False) -> None:
        """Lets the driver forget a task."""
        await self._driver.call("DestroyTask", driver_pb2.DestroyTaskRequest(task_id=task_id, force=force))

    async def inspect(self, task_id: str) -> model.TaskStatus:
        """Asks for state, times and result."""
        return decode.status(
            await self._driver.call("InspectTask", driver_pb2.InspectTaskRequest(task_id=task_id))
        )

    async def signal(self, task_id: str, signal: str) -> None:
        """Signals main."""
        await self._driver.call("SignalTask", driver_pb2.SignalTaskRequest(task_id=task_id, signal=signal))

    def stats(self, task_id: str, interval_s: float) -> AsyncIterator[model.TaskUsage]:
        """Yields the task's usage."""
        request = driver_pb2.TaskStatsRequest(
            task_id=task_id, collection_interval=encode.duration(interval_s)
        )
        return self._stream("TaskStats", request, lambda answer: decode.usage(answer.stats))

    def events(self) -> AsyncIterator[model.DriverTaskEvent]:
        """Yields the task events of all tasks."""
        return self._stream("TaskEvents", driver_pb2.TaskEventsRequest(), decode.event)

    async def exec(self, task_id: str, argv: Sequence[str], timeout_s: float) -> model.ExecOutcome:
        """Runs a command in the task."""
        request = driver_pb2.ExecTaskRequest(
            task_id=task_id, command=argv, timeout=encode.duration(timeout_s)
        )
        answer = await self._driver.call("ExecTask", request)
        return model.ExecOutcome(answer.stdout, answer.stderr, decode.exit_result(answer.result))

    async def exec_streaming(self, task_id: str, argv: Sequence[str], *, tty: bool) -> ExecSession:
        """Runs a command in the task with its streams connected."""
        session = ExecSession(self._driver.method("ExecTaskStreaming")())
        await session.begin(task_id, argv, tty=tty)
        return session

    async def _stream(self, name: str, request: Any, convert: Callable[[Any], Any]) -> AsyncIterator[Any]:
        call = self._driver.method(name)(request)
        try:
            async for answer in call:
                yield convert(answer)
        except grpc.aio.AioRpcError as error:
            raise plugin_error(name, error) from error
        finally:
            call.cancel()
