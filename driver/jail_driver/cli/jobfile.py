"""One task of a job file, read as an agent would read it, for ``run``.

What only a cluster can give (templates, artifacts, volumes, vault) is refused by name; what would only
matter to a scheduler (services, update, restart policies) is left out, and said so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jail_driver.cli import hcl
from jail_driver.config.read import duration_s
from jail_driver.errors import ConfigError

DRIVER: Final = "jail-task-driver"
KILL_TIMEOUT_S: Final = 5.0
"""Nomad's own default (kill_timeout of the task block)."""

CPU_MHZ: Final = 100
MEMORY_MIB: Final = 300
"""Nomad's own defaults (resources block)."""

_BYTES_PER_MIB: Final = 1024 * 1024
_IMPOSSIBLE: Final = frozenset(
    {"template", "artifact", "dispatch_payload", "vault", "volume_mount", "csi_plugin", "device", "secret"}
)
_READ: Final = frozenset(
    {"config", "env", "resources", "meta", "driver", "user", "kill_signal", "kill_timeout"}
)
_NO_MATTER: Final = frozenset(
    {"logs", "leader", "task", "type", "datacenters", "region", "namespace", "group"}
)


@dataclass(frozen=True, slots=True)
class JobTask:
    """One task.

    Args:
        job: the job's id.
        namespace: Nomad's namespace.
        group: the group's name.
        name: the task's name.
        user: who main runs as; empty: the driver's default.
        env: the job's own variables.
        config: the config block as an agent decodes it (blocks and objects are lists of maps).
        kill_signal: empty: the driver's default.
        kill_timeout_s: grace after it, seconds.
        cpu_mhz: resources.cpu.
        memory_bytes: resources.memory.
        left_out: what the file says that ``run`` does not do.
    """

    job: str
    namespace: str
    group: str
    name: str
    user: str
    env: Mapping[str, str]
    config: Mapping[str, Any]
    kill_signal: str
    kill_timeout_s: float
    cpu_mhz: int
    memory_bytes: int
    left_out: tuple[str, ...]


def load(
    text: str, *, task: str = "", variables: Mapping[str, str] | None = None, alloc_id: str = ""
) -> tuple[JobTask, Mapping[str, str]]:
    """Reads a job file, or a file with nothing but a task block.

    Args:
        text: the file.
        task: which task; empty: the only one.
        variables: values of its ``variable`` blocks.
        alloc_id: for NOMAD_ALLOC_ID.

    Returns:
        The task and its environment: Nomad's variables and the job's.

    Raises:
        ConfigError: naming the line.
    """
    body = hcl.read(text)
    names = _variables(body, variables or {})
    job, group, found = _select(body, task)
    namespace = str(_resolved(job.body, "namespace", names, "default"))
    nomad = _nomad_env(job.label, namespace, group.label, found, alloc_id)
    names = names | nomad
    env = {key: _env_text(value) for key, value in _env(found.body, names).items()}
    names = names | env | {f'env["{key}"]': value for key, value in env.items()}
    resources = found.body.of_kind("resources")
    cpu, memory = (
        int(_resolved(resources[0].body, name, names, default)) if resources else default
        for name, default in (("cpu", CPU_MHZ), ("memory", MEMORY_MIB))
    )
    limits = {"NOMAD_CPU_LIMIT": str(cpu), "NOMAD_MEMORY_LIMIT": str(memory)}
    return (
        JobTask(
            job=job.label,
            namespace=namespace,
            group=group.label,
            name=found.label,
            user=str(_resolved(found.body, "user", names, "")),
            env=env,
            config=_config(found, names),
            kill_signal=str(_resolved(found.body, "kill_signal", names, "")),
            kill_timeout_s=_duration(found, names),
            cpu_mhz=cpu,
            memory_bytes=memory * _BYTES_PER_MIB,
            left_out=_left_out(job, group, found),
        ),
        nomad | limits | env,
    )


def _variables(body: hcl.Body, given: Mapping[str, str]) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in body.of_kind("variable"):
        if block.label in given:
            names[f"var.{block.label}"] = given[block.label]
        elif "default" in block.body.attributes:
            names[f"var.{block.label}"] = hcl.resolve(block.body.attributes["default"].value, {})
    unknown = [name for name in given if f"var.{name}" not in names]
    if unknown:
        raise ConfigError(f"the job file declares no variable {unknown[0]!r}")
    return names


def _select(body: hcl.Body, wanted: str) -> tuple[hcl.Block, hcl.Block, hcl.Block]:
    jobs = body.of_kind("job") or (hcl.Block("job", ("run",), body, 1),)
    found = [
        (job, group, task)
        for job in jobs
        for group in (*job.body.of_kind("group"), hcl.Block("group", ("run",), job.body, job.line))
        for task in group.body.of_kind("task")
        if wanted in {"", task.label}
    ]
    if len(found) != 1:
        names = ", ".join(task.label for _, _, task in found) or "none"
        raise ConfigError(f"`run` runs one task, name it with --task; the file's matching tasks: {names}")
    job, group, task = found[0]
    driver = _resolved(task.body, "driver", {}, "")
    if driver != DRIVER:
        raise ConfigError(f"line {task.line}: task {task.label!r} is for the driver {driver!r}, not {DRIVER}")
    return job, group, task


def _resolved(body: hcl.Body, name: str, names: Mapping[str, Any], default: Any) -> Any:
    attribute = body.attributes.get(name)
    return default if attribute is None else hcl.resolve(attribute.value, names)


def _nomad_env(job: str, namespace: str, group: str, task: hcl.Block, alloc_id: str) -> dict[str, str]:
    """Nomad's variables for a driver with image isolation (client/taskenv/env.go)."""
    meta = {
        f"NOMAD_META_{key}": _env_text(hcl.resolve(attribute.value, {}))
        for block in task.body.of_kind("meta")
        for key, attribute in block.body.attributes.items()
    }
    return meta | {
        "NOMAD_ALLOC_DIR": "/alloc",
        "NOMAD_TASK_DIR": "/local",
        "NOMAD_SECRETS_DIR": "/secrets",
        "NOMAD_ALLOC_ID": alloc_id,
        "NOMAD_SHORT_ALLOC_ID": alloc_id[:8],
        "NOMAD_ALLOC_INDEX": "0",
        "NOMAD_ALLOC_NAME": f"{job}.{group}[0]",
        "NOMAD_JOB_ID": job,
        "NOMAD_JOB_NAME": job,
        "NOMAD_GROUP_NAME": group,
        "NOMAD_TASK_NAME": task.label,
        "NOMAD_NAMESPACE": namespace,
        "NOMAD_REGION": "global",
        "NOMAD_DC": "dc1",
    }


def _env(body: hcl.Body, names: Mapping[str, Any]) -> Mapping[str, Any]:
    """The job's variables, in block form or as an attribute."""
    given = _resolved(body, "env", names, {})
    for block in body.of_kind("env"):
        given |= {key: hcl.resolve(one.value, names) for key, one in block.body.attributes.items()}
    if not isinstance(given, dict):
        raise ConfigError("env is a block of variables")
    return given


def _env_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _duration(task: hcl.Block, names: Mapping[str, Any]) -> float:
    given = _resolved(task.body, "kill_timeout", names, KILL_TIMEOUT_S)
    seconds = duration_s(given)
    if seconds is None:
        raise ConfigError(f'line {task.line}: kill_timeout = {given!r} is no duration: write it as "10s"')
    return seconds


def _config(task: hcl.Block, names: Mapping[str, Any]) -> Mapping[str, Any]:
    blocks = task.body.of_kind("config")
    return as_map(blocks[0].body, names) if blocks else {}


def as_map(body: hcl.Body, names: Mapping[str, Any]) -> dict[str, Any]:
    """Reads a body without a schema, as Nomad reads a config block (jobspec2/hclutil/blockattrs.go).

    A block becomes an element of a list of maps, and so does an object, so that both forms look alike.
    """
    found: dict[str, Any] = {}
    for name, attribute in body.attributes.items():
        value = hcl.resolve(attribute.value, names)
        found[name] = [value] if isinstance(value, dict) else value
    blocks: dict[str, list[Any]] = {}
    for block in body.blocks:
        inner: Any = as_map(block.body, names)
        for label in reversed(block.labels):
            inner = {label: [inner]}
        blocks.setdefault(block.kind, []).append(inner)
    return found | blocks


def _left_out(job: hcl.Block, group: hcl.Block, task: hcl.Block) -> tuple[str, ...]:
    left: list[str] = []
    for block in (job, group, task):
        said = [*block.body.attributes, *(inner.kind for inner in block.body.blocks)]
        for name in said:
            if name in _IMPOSSIBLE and block is task:
                raise ConfigError(f"`run` cannot do {name}: that takes an agent")
            if name not in _READ | _NO_MATTER and name not in {"job", "variable"}:
                left.append(name)
    return tuple(dict.fromkeys(left))
