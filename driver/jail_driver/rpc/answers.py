"""Plain data to Nomad's messages (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from jail_driver.plugin.pb import driver_pb2 as pb
from jail_driver.plugin.pb import structs_pb2

if TYPE_CHECKING:
    from jail_driver import model

NS_PER_S = 1_000_000_000

ZERO_TIME_S = -62_135_596_800
"""Go's zero time, year 1: how Nomad writes "not yet" (plugins/drivers/utils.go)."""

_INT64 = range(-(2**63), 2**63)


def timestamp(at_ns: int | None) -> Timestamp:
    """Returns a UTC time; None becomes Go's zero time."""
    if at_ns is None:
        return Timestamp(seconds=ZERO_TIME_S)
    seconds, nanos = divmod(at_ns, NS_PER_S)
    return Timestamp(seconds=seconds, nanos=nanos)


def attribute(given: model.Attribute) -> structs_pb2.Attribute:
    """Returns a typed node attribute; whole numbers outside 64 bits travel as text."""
    value = given.value
    if isinstance(value, bool):
        return structs_pb2.Attribute(bool_val=value, unit=given.unit)
    if isinstance(value, int) and value in _INT64:
        return structs_pb2.Attribute(int_val=value, unit=given.unit)
    if isinstance(value, float):
        return structs_pb2.Attribute(float_val=value, unit=given.unit)
    return structs_pb2.Attribute(string_val=str(value), unit=given.unit)


def fingerprint(given: model.Fingerprint) -> pb.FingerprintResponse:
    """Returns one message of the Fingerprint stream."""
    return pb.FingerprintResponse(
        health=given.health.name,
        health_description=given.description,
        attributes={name: attribute(value) for name, value in given.attributes.items()},
    )


def network(given: model.DriverNetwork | None) -> pb.NetworkOverride | None:
    """Returns the task's own address; None where the node's is used."""
    if given is None:
        return None
    return pb.NetworkOverride(
        port_map=dict(given.port_map), addr=given.ip, auto_advertise=given.auto_advertise
    )


def started(given: model.StartedTask, config: pb.TaskConfig) -> pb.StartTaskResponse:
    """Returns StartTask's answer: the handle echoes the request's config, as Nomad's own drivers do."""
    handle = pb.TaskHandle(
        version=given.handle.version,
        config=config,
        state=given.handle.state.name,
        driver_state=given.handle.driver_state,
    )
    return pb.StartTaskResponse(
        result=pb.StartTaskResponse.SUCCESS, handle=handle, network_override=network(given.network)
    )


def exit_result(given: model.ExitResult) -> pb.ExitResult:
    """Returns how main ended; its error text travels beside it."""
    return pb.ExitResult(exit_code=given.exit_code, signal=given.signal, oom_killed=given.oom_killed)


def waited(given: model.ExitResult) -> pb.WaitTaskResponse:
    """Returns WaitTask's answer."""
    return pb.WaitTaskResponse(result=exit_result(given), err=given.error)


def status(given: model.TaskStatus) -> pb.InspectTaskResponse:
    """Returns InspectTask's answer; both times must be present (plugins/drivers/utils.go)."""
    task = pb.TaskStatus(
        id=given.id,
        name=given.name,
        state=given.state.name,
        started_at=timestamp(given.started_at_ns),
        completed_at=timestamp(given.completed_at_ns),
        result=exit_result(given.result),
    )
    return pb.InspectTaskResponse(
        task=task,
        driver=pb.TaskDriverStatus(attributes=dict(given.attributes)),
        network_override=network(given.network),
    )


def event(given: model.DriverTaskEvent) -> pb.DriverTaskEvent:
    """Returns one message of the TaskEvents stream."""
    return pb.DriverTaskEvent(
        task_id=given.task_id,
        alloc_id=given.alloc_id,
        task_name=given.task_name,
        timestamp=timestamp(given.timestamp_ns),
        message=given.message,
        annotations=dict(given.annotations),
    )


def usage(task_id: str, given: model.TaskUsage) -> pb.TaskStatsResponse:
    """Returns one message of the TaskStats stream."""
    stats = pb.TaskStats(
        id=task_id,
        timestamp=timestamp(given.timestamp_ns),
        agg_resource_usage=_resource_usage(given.total),
        resource_usage_by_pid={pid: _resource_usage(one) for pid, one in given.by_pid.items()},
    )
    return pb.TaskStatsResponse(stats=stats)


def executed(given: model.ExecOutcome) -> pb.ExecTaskResponse:
    """Returns ExecTask's answer."""
    return pb.ExecTaskResponse(stdout=given.stdout, stderr=given.stderr, result=exit_result(given.result))


def _resource_usage(given: model.ResourceUsage) -> pb.TaskResourceUsage:
    cpu, memory = given.cpu, given.memory
    return pb.TaskResourceUsage(
        cpu=pb.CPUUsage(
            system_mode=cpu.system_mode,
            user_mode=cpu.user_mode,
            total_ticks=cpu.total_ticks,
            percent=cpu.percent,
            measured_fields=cpu.measured,
        ),
        memory=pb.MemoryUsage(
            rss=memory.rss_bytes,
            cache=memory.cache_bytes,
            swap=memory.swap_bytes,
            usage=memory.usage_bytes,
            max_usage=memory.max_usage_bytes,
            measured_fields=memory.measured,
        ),
    )
