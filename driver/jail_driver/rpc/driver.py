"""Driver: what Nomad asks of a task driver (plugins/drivers/proto/driver.proto). Translation only."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from jail_driver import errors, log, model
from jail_driver.plugin.pb import driver_pb2 as pb
from jail_driver.rpc import answers, convert, schema, status
from jail_driver.rpc.exec_stream import GrpcExecStream, receive_setup
from jail_state.store import errors as store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from grpc.aio import ServicerContext

    from jail_driver.activity import Activity
    from jail_driver.rpc.about import About
    from jail_driver.rpc.work import Work

T = TypeVar("T")
SERVICE = pb.DESCRIPTOR.services_by_name["Driver"]
_RETRY_S = 1.0
_NOT_NOW = (errors.UnavailableError, store.UnavailableError)
logger = log.get("rpc")


class Driver:
    """Translates the driver RPCs.

    Args:
        about: schemas and capabilities.
        work: the service.
        activity: counts the long calls.
    """

    def __init__(self, about: About, work: Work, activity: Activity) -> None:
        self._about = about
        self._work = work
        self._activity = activity

    async def init(self, _request: pb.InitRequest) -> pb.InitResponse:
        """Answers at every dispense, also after a reattach; there is nothing to prepare."""
        return pb.InitResponse()

    async def task_config_schema(self, _request: pb.TaskConfigSchemaRequest) -> pb.TaskConfigSchemaResponse:
        """Returns the schema of a job's config block."""
        return pb.TaskConfigSchemaResponse(spec=schema.to_proto(self._about.task_schema()))

    async def capabilities(self, _request: pb.CapabilitiesRequest) -> pb.CapabilitiesResponse:
        """Says what the driver offers; networks are its own, so ``host`` is the only mode of Nomad's."""
        offered = pb.DriverCapabilities(
            send_signals=True,
            exec=self._about.exec,
            fs_isolation=pb.DriverCapabilities.IMAGE,
            network_isolation_modes=[pb.NetworkIsolationSpec.HOST],
            must_create_network=False,
            mount_configs=pb.DriverCapabilities.ANY_MOUNTS,
            disable_log_collection=False,
            dynamic_workload_users=False,
        )
        return pb.CapabilitiesResponse(capabilities=offered)

    async def fingerprint(self, _request: pb.FingerprintRequest) -> AsyncIterator[pb.FingerprintResponse]:
        """Streams the driver's health; a service that cannot tell is unhealthy, with the reason."""
        with self._activity.stream("Fingerprint"):
            try:
                async with aclosing(self._work.service.fingerprints()) as changes:  # type: ignore[type-var]
                    async for change in changes:
                        yield answers.fingerprint(change)
            except Exception as error:
                logger.exception("the fingerprint failed")
                yield answers.fingerprint(model.Fingerprint(model.Health.UNHEALTHY, status.text(error)))

    async def recover_task(self, request: pb.RecoverTaskRequest) -> pb.RecoverTaskResponse:
        """Takes a task back.

        Raises:
            UnknownTaskError: nothing can be established about it.
            HandleError: it is none of this driver's.
        """
        await self._work.finish(self._work.service.recover(convert.handle(request.handle)))
        return pb.RecoverTaskResponse()

    async def start_task(self, request: pb.StartTaskRequest) -> pb.StartTaskResponse:
        """Starts a task, or joins its start.

        Raises:
            ConfigError: the job cannot work.
            StartError: after the teardown.
        """
        started = await self._work.finish(self._work.service.start(convert.task_spec(request.task)))
        return answers.started(started, request.task)

    async def wait_task(self, request: pb.WaitTaskRequest) -> pb.WaitTaskResponse:
        """Answers when the task is stopped and unmade; an error here would fail a task that lives.

        Raises:
            UnknownTaskError: no such task.
        """
        with self._activity.stream("WaitTask"):
            return answers.waited(await _patiently(lambda: self._work.service.wait(request.task_id)))

    async def stop_task(self, request: pb.StopTaskRequest) -> pb.StopTaskResponse:
        """Stops a task; unknown and ended ones are fine.

        Where the state directory or its disk does not serve, this goes on: Nomad tries a kill five times, in six
        minutes, and then waits without end for a task that nobody stops (killTask in its task_runner.go).
        """
        timeout_s = convert.seconds(request.timeout)
        stop = _patiently(
            lambda: self._work.service.stop(request.task_id, timeout_s=timeout_s, signal=request.signal)
        )
        await self._work.finish(stop)
        return pb.StopTaskResponse()

    async def destroy_task(self, request: pb.DestroyTaskRequest) -> pb.DestroyTaskResponse:
        """Forgets a task; unknown ones are fine."""
        await self._work.finish(self._work.service.destroy(request.task_id, force=request.force))
        return pb.DestroyTaskResponse()

    async def inspect_task(self, request: pb.InspectTaskRequest) -> pb.InspectTaskResponse:
        """Returns state, times and result."""
        return answers.status(await self._work.service.inspect(request.task_id))

    async def signal_task(self, request: pb.SignalTaskRequest) -> pb.SignalTaskResponse:
        """Signals main."""
        await self._work.finish(self._work.service.signal(request.task_id, request.signal))
        return pb.SignalTaskResponse()

    async def task_stats(self, request: pb.TaskStatsRequest) -> AsyncIterator[pb.TaskStatsResponse]:
        """Streams usage; where there is nothing to tell, the stream stays open and quiet.

        Nomad logs an error and opens a stream anew each interval otherwise
        (client/allocrunner/taskrunner/stats_hook.go).
        """
        interval_s = convert.seconds(request.collection_interval)
        try:
            samples = self._work.service.stats(request.task_id, interval_s)
            async with aclosing(samples) as usages:  # type: ignore[type-var]
                async for usage in usages:
                    yield answers.usage(request.task_id, usage)
        except errors.DriverError as error:
            logger.debug("no usage to report", task_id=request.task_id, error=str(error))
        await asyncio.Event().wait()

    async def task_events(self, _request: pb.TaskEventsRequest) -> AsyncIterator[pb.DriverTaskEvent]:
        """Streams what operators want to see."""
        with self._activity.stream("TaskEvents"):
            async with aclosing(self._work.service.events()) as events:  # type: ignore[type-var]
                async for event in events:
                    yield answers.event(event)

    async def exec_task(self, request: pb.ExecTaskRequest) -> pb.ExecTaskResponse:
        """Runs a command in the task's jail."""
        outcome = await self._work.service.exec(
            request.task_id, tuple(request.command), convert.seconds(request.timeout)
        )
        return answers.executed(outcome)

    async def exec_task_streaming(self, _requests: object, context: ServicerContext[Any, Any]) -> None:
        """Runs a command in the task's jail with its streams connected.

        Raises:
            ConfigError: the first message is not the setup.
        """
        setup = await receive_setup(context)
        result = await self._work.service.exec_streaming(
            setup.task_id, tuple(setup.command), tty=setup.tty, stream=GrpcExecStream(context)
        )
        await context.write(pb.ExecTaskStreamingResponse(exited=True, result=answers.exit_result(result)))

    async def create_network(self, _request: pb.CreateNetworkRequest) -> pb.CreateNetworkResponse:
        """Refuses: capabilities say that Nomad need not ask."""
        raise errors.UnsupportedError("networks are made by the task's own config (Ip4_addr, Vnet, Vnet_nic)")

    async def destroy_network(self, _request: pb.DestroyNetworkRequest) -> pb.DestroyNetworkResponse:
        """Succeeds: nothing was made."""
        return pb.DestroyNetworkResponse()

    async def shutdown(self, _request: pb.ShutdownRequest) -> pb.ShutdownResponse:
        """Answers; tasks outlive the plugin, and go-plugin's controller ends the process next."""
        return pb.ShutdownResponse()


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the driver can serve."""
    while True:
        try:
            return await ask()
        except _NOT_NOW as error:
            logger.warning("cannot serve a task now, goes on trying", error=str(error))
            await asyncio.sleep(_RETRY_S)
