"""Plain data to the messages that an agent sends (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
from google.protobuf.duration_pb2 import Duration

from jail_driver.plugin.pb import driver_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jail_driver import model

BYTES_PER_MIB = 1024 * 1024
NS_PER_S = 1_000_000_000


def config_bytes(config: Mapping[str, Any]) -> bytes:
    """Encodes a decoded configuration block as Nomad does: msgpack, keys sorted (go-cty marshal.go)."""
    packed: bytes = msgpack.packb(dict(sorted(config.items())), use_bin_type=True)
    return packed


def duration(seconds: float) -> Duration:
    """Returns a duration; whole nanoseconds."""
    whole, nanos = divmod(round(seconds * NS_PER_S), NS_PER_S)
    return Duration(seconds=whole, nanos=nanos)


def task_config(spec: model.TaskSpec) -> pb.TaskConfig:
    """Returns StartTask's message for one task."""
    return pb.TaskConfig(
        id=spec.id,
        name=spec.name,
        alloc_id=spec.alloc_id,
        job_name=spec.job_name,
        job_id=spec.job_id,
        task_group_name=spec.task_group,
        namespace=spec.namespace,
        node_name=spec.node_name,
        node_id=spec.node_id,
        user=spec.user,
        env=dict(spec.env),
        device_env=dict(spec.device_env),
        msgpack_driver_config=config_bytes(spec.config),
        resources=_resources(spec.resources),
        mounts=[_mount(mount) for mount in spec.mounts],
        devices=[
            pb.Device(task_path=d.task_path, host_path=d.host_path, cgroup_permissions=d.permissions)
            for d in spec.devices
        ],
        alloc_dir=spec.alloc_dir,
        stdout_path=spec.stdout_path,
        stderr_path=spec.stderr_path,
        dns=_dns(spec.dns),
    )


def handle(kept: model.Handle) -> pb.TaskHandle:
    """Returns a handle as the agent hands it back."""
    return pb.TaskHandle(
        version=kept.version,
        state=kept.state.name,
        driver_state=kept.driver_state,
        config=None if kept.spec is None else task_config(kept.spec),
    )


def _resources(given: model.Resources) -> pb.Resources:
    return pb.Resources(
        allocated_resources=pb.AllocatedTaskResources(
            cpu=pb.AllocatedCpuResources(cpu_shares=given.cpu_shares_mhz),
            memory=pb.AllocatedMemoryResources(
                memory_mb=given.memory_bytes // BYTES_PER_MIB,
                memory_max_mb=given.memory_max_bytes // BYTES_PER_MIB,
            ),
        ),
        linux_resources=pb.LinuxResources(cpuset_cpus=given.cpuset_cpus),
        ports=[pb.PortMapping(label=p.label, value=p.value, to=p.to, host_ip=p.host_ip) for p in given.ports],
    )


def _mount(given: model.Mount) -> pb.Mount:
    return pb.Mount(
        task_path=given.task_path,
        host_path=given.host_path,
        readonly=given.readonly,
        propagation_mode=given.propagation_mode,
    )


def _dns(given: model.Dns | None) -> pb.DNSConfig | None:
    if given is None:
        return None
    return pb.DNSConfig(servers=given.servers, searches=given.searches, options=given.options)
