"""What the RPC layer and the task service say to each other: Nomad's messages as plain data.

Times are UTC, in nanoseconds since the epoch where the name ends in ``_ns``; durations are seconds
(``_s``); sizes are bytes. Sources: plugins/drivers/proto/driver.proto and plugins/base/proto/base.proto
of Nomad.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Health(IntEnum):
    """``HealthState`` of a fingerprint."""

    UNDETECTED = 0
    UNHEALTHY = 1
    HEALTHY = 2


class HandleState(IntEnum):
    """``TaskState`` as Nomad knows it."""

    UNKNOWN = 0
    RUNNING = 1
    EXITED = 2


@dataclass(frozen=True, slots=True)
class Attribute:
    """One fingerprint attribute: bool, int, float or text, with an optional unit (Nomad's own names)."""

    value: bool | int | float | str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The driver's health and what it found on the node."""

    health: Health
    description: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mount:
    """A ``volume_mount`` or other bind mount asked for by Nomad."""

    task_path: str
    host_path: str
    readonly: bool
    propagation_mode: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """A device file asked for by a device plugin."""

    task_path: str
    host_path: str
    permissions: str


@dataclass(frozen=True, slots=True)
class Dns:
    """The ``dns`` block of the group's network."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """One port of the group's ``network`` block, from AllocatedPorts."""

    label: str
    value: int
    to: int
    host_ip: str


@dataclass(frozen=True, slots=True)
class Resources:
    """What the scheduler gave the task. Zero means unlimited or unknown."""

    cpu_shares_mhz: int = 0
    memory_bytes: int = 0
    memory_max_bytes: int = 0
    cpuset_cpus: str = ""
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """Nomad's TaskConfig: everything StartTask says about one task.

    ``config`` is the decoded ``config`` block (msgpack), keyed by the attribute names of our schema; an
    absent attribute is None. ``env`` holds secrets: it is never stored nor logged.
    """

    id: str
    name: str
    alloc_id: str
    job_name: str
    job_id: str
    task_group: str
    namespace: str
    node_name: str
    node_id: str
    user: str
    env: Mapping[str, str]
    device_env: Mapping[str, str]
    config: Mapping[str, Any]
    resources: Resources
    mounts: tuple[Mount, ...]
    devices: tuple[Device, ...]
    alloc_dir: str
    """The allocation's directory; the task's own is ``alloc_dir/name``, the shared one ``alloc_dir/alloc``."""
    stdout_path: str
    stderr_path: str
    dns: Dns | None = None


@dataclass(frozen=True, slots=True)
class Handle:
    """What Nomad keeps of a started task and hands back to RecoverTask."""

    version: int
    state: HandleState
    driver_state: bytes
    spec: TaskSpec | None
    """None in a handle that we hand out: Nomad's config is echoed by the RPC layer."""


@dataclass(frozen=True, slots=True)
class DriverNetwork:
    """The task's own address, for service registration."""

    ip: str
    auto_advertise: bool
    port_map: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StartedTask:
    """The answer to StartTask."""

    handle: Handle
    network: DriverNetwork | None = None


@dataclass(frozen=True, slots=True)
class ExitResult:
    """How main ended. ``error`` is text for the user when the status cannot be known."""

    exit_code: int
    signal: int = 0
    oom_killed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """The answer to InspectTask; a time of None means "not yet"."""

    id: str
    name: str
    state: HandleState
    started_at_ns: int | None
    completed_at_ns: int | None
    result: ExitResult
    attributes: Mapping[str, str]
    network: DriverNetwork | None = None


@dataclass(frozen=True, slots=True)
class CpuUsage:
    """CPU figures since the last sample: modes and sum in percent of one core, ticks in MHz of it.

    Nomad's executor fills the fields alike (drivers/shared/executor/procstats).
    """

    system_mode: float
    user_mode: float
    total_ticks: float
    percent: float
    measured: tuple[str, ...] = ("SYSTEM_MODE", "USER_MODE", "TOTAL_TICKS", "PERCENT")


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Memory figures, bytes."""

    rss_bytes: int
    cache_bytes: int = 0
    swap_bytes: int = 0
    usage_bytes: int = 0
    max_usage_bytes: int = 0
    measured: tuple[str, ...] = ("RSS", "SWAP", "USAGE", "MAX_USAGE")


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """One process's, or the whole task's, use."""

    cpu: CpuUsage
    memory: MemoryUsage


@dataclass(frozen=True, slots=True)
class TaskUsage:
    """One sample of TaskStats."""

    timestamp_ns: int
    total: ResourceUsage
    by_pid: Mapping[str, ResourceUsage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DriverTaskEvent:
    """What an operator sees in ``nomad alloc status``."""

    task_id: str
    task_name: str
    alloc_id: str
    timestamp_ns: int
    message: str
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExecOutcome:
    """The answer to ExecTask."""

    stdout: bytes
    stderr: bytes
    result: ExitResult
