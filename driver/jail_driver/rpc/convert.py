"""Nomad's messages to plain data (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from jail_driver import model, trees
from jail_driver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.duration_pb2 import Duration

    from jail_driver.plugin.pb import driver_pb2 as pb

BYTES_PER_MIB = 1024 * 1024


def config_map(raw: bytes, what: str) -> Mapping[str, Any]:
    """Decodes a configuration block that Nomad encoded as msgpack.

    Args:
        raw: the bytes; none at all is an empty block.
        what: names the block in the error.

    Raises:
        ConfigError: the bytes are not one msgpack map with text keys.
    """
    if not raw:
        return {}
    try:
        value = msgpack.unpackb(raw, raw=False, unicode_errors="surrogateescape")
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{what}: Nomad sent bytes that are not msgpack ({error})") from error
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{what}: Nomad sent {type(value).__name__}, not a map of options")
    return value


def task_spec(task: pb.TaskConfig) -> model.TaskSpec:
    """Returns everything that StartTask says about one task.

    Raises:
        ConfigError: the config block cannot be decoded.
    """
    return model.TaskSpec(
        id=task.id,
        name=task.name,
        alloc_id=task.alloc_id,
        job_name=task.job_name,
        job_id=task.job_id,
        task_group=task.task_group_name,
        namespace=task.namespace,
        node_name=task.node_name,
        node_id=task.node_id,
        user=task.user,
        env=dict(task.env),
        device_env=dict(task.device_env),
        config=config_map(task.msgpack_driver_config, "config"),
        resources=resources(task.resources),
        mounts=tuple(
            model.Mount(m.task_path, m.host_path, m.readonly, m.propagation_mode) for m in task.mounts
        ),
        devices=tuple(model.Device(d.task_path, d.host_path, d.cgroup_permissions) for d in task.devices),
        alloc_dir=trees.known_to_all(task.alloc_dir),
        stdout_path=task.stdout_path,
        stderr_path=task.stderr_path,
        dns=_dns(task.dns) if task.HasField("dns") else None,
    )


def resources(given: pb.Resources) -> model.Resources:
    """Returns the scheduler's grants; MiB become bytes."""
    memory = given.allocated_resources.memory
    return model.Resources(
        cpu_shares_mhz=given.allocated_resources.cpu.cpu_shares,
        memory_bytes=memory.memory_mb * BYTES_PER_MIB,
        memory_max_bytes=memory.memory_max_mb * BYTES_PER_MIB,
        cpuset_cpus=given.linux_resources.cpuset_cpus,
        ports=tuple(model.Port(p.label, p.value, p.to, p.host_ip) for p in given.ports),
    )


def handle(given: pb.TaskHandle) -> model.Handle:
    """Returns a handle that Nomad kept.

    Raises:
        ConfigError: its config block cannot be decoded.
    """
    return model.Handle(
        version=given.version,
        state=model.HandleState(given.state) if given.state in _STATES else model.HandleState.UNKNOWN,
        driver_state=given.driver_state,
        spec=task_spec(given.config) if given.HasField("config") else None,
    )


def seconds(duration: Duration) -> float:
    """Returns a duration in seconds."""
    return duration.seconds + duration.nanos / 1e9


def _dns(given: pb.DNSConfig) -> model.Dns:
    return model.Dns(tuple(given.servers), tuple(given.searches), tuple(given.options))


_STATES = frozenset(int(state) for state in model.HandleState)
