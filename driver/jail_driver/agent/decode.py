"""The messages that an agent gets to plain data (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jail_driver import hclspec, model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.timestamp_pb2 import Timestamp

    from jail_driver.plugin.pb import driver_pb2 as pb
    from jail_driver.plugin.pb import hclspec_pb2, structs_pb2

NS_PER_S = 1_000_000_000


def schema(spec: hclspec_pb2.Spec) -> hclspec.Spec:
    """Returns the neutral tree of a schema.

    Raises:
        ValueError: a kind of spec that this plugin's family does not use (set, map, array).
    """
    return _SCHEMAS[_kind(spec)](spec)


def _kind(spec: hclspec_pb2.Spec) -> str:
    kind = spec.WhichOneof("block")
    if kind not in _SCHEMAS:
        raise ValueError(f"a schema of kind {kind!r} is not known here")
    return str(kind)


_SCHEMAS: Mapping[str, Callable[[hclspec_pb2.Spec], hclspec.Spec]] = {
    "object": lambda s: hclspec.Object({key: schema(one) for key, one in s.object.attributes.items()}),
    "Attr": lambda s: hclspec.Attr(s.Attr.name, s.Attr.type, s.Attr.required),
    "block_value": lambda s: hclspec.Block(
        s.block_value.name, schema(s.block_value.nested), s.block_value.required
    ),
    "block_attrs": lambda s: hclspec.BlockAttrs(
        s.block_attrs.name, s.block_attrs.type, s.block_attrs.required
    ),
    "block_list": lambda s: hclspec.BlockList(
        s.block_list.name, schema(s.block_list.nested), s.block_list.max_items
    ),
    "default": lambda s: hclspec.Default(schema(s.default.primary), schema(s.default.default)),
    "literal": lambda s: hclspec.Literal(s.literal.value),
}


def attribute(given: structs_pb2.Attribute) -> model.Attribute:
    """Returns one node attribute."""
    field = given.WhichOneof("value")
    return model.Attribute(getattr(given, field) if field else "", given.unit)


def fingerprint(given: pb.FingerprintResponse) -> model.Fingerprint:
    """Returns one fingerprint."""
    attributes = {name: attribute(value) for name, value in given.attributes.items()}
    return model.Fingerprint(
        model.Health(given.health), given.health_description or given.err, attributes=attributes
    )


def exit_result(given: pb.ExitResult, error: str = "") -> model.ExitResult:
    """Returns how main ended."""
    return model.ExitResult(given.exit_code, given.signal, given.oom_killed, error)


def network(given: pb.NetworkOverride) -> model.DriverNetwork:
    """Returns the task's own address."""
    return model.DriverNetwork(given.addr, given.auto_advertise, dict(given.port_map))


def status(given: pb.InspectTaskResponse) -> model.TaskStatus:
    """Returns InspectTask's answer; Go's zero time is None."""
    task = given.task
    return model.TaskStatus(
        id=task.id,
        name=task.name,
        state=model.HandleState(task.state),
        started_at_ns=_time_ns(task.started_at),
        completed_at_ns=_time_ns(task.completed_at),
        result=exit_result(task.result),
        attributes=dict(given.driver.attributes),
        network=network(given.network_override) if given.HasField("network_override") else None,
    )


def event(given: pb.DriverTaskEvent) -> model.DriverTaskEvent:
    """Returns one task event."""
    return model.DriverTaskEvent(
        task_id=given.task_id,
        task_name=given.task_name,
        alloc_id=given.alloc_id,
        timestamp_ns=_time_ns(given.timestamp) or 0,
        message=given.message,
        annotations=dict(given.annotations),
    )


def usage(given: pb.TaskStats) -> model.TaskUsage:
    """Returns one sample of usage."""
    return model.TaskUsage(
        timestamp_ns=_time_ns(given.timestamp) or 0,
        total=_resource_usage(given.agg_resource_usage),
        by_pid={pid: _resource_usage(one) for pid, one in given.resource_usage_by_pid.items()},
    )


def _resource_usage(given: pb.TaskResourceUsage) -> model.ResourceUsage:
    cpu, memory = given.cpu, given.memory
    return model.ResourceUsage(
        model.CpuUsage(
            system_mode=cpu.system_mode,
            user_mode=cpu.user_mode,
            total_ticks=cpu.total_ticks,
            percent=cpu.percent,
            measured=tuple(cpu.Fields.Name(field) for field in cpu.measured_fields),
        ),
        model.MemoryUsage(
            rss_bytes=memory.rss,
            cache_bytes=memory.cache,
            swap_bytes=memory.swap,
            usage_bytes=memory.usage,
            max_usage_bytes=memory.max_usage,
            measured=tuple(memory.Fields.Name(field) for field in memory.measured_fields),
        ),
    )


def _time_ns(given: Timestamp) -> int | None:
    return None if given.seconds < 0 else given.seconds * NS_PER_S + given.nanos
