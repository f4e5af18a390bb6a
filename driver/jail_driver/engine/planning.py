"""From a wish to a plan: every effect of the start by name, and the way down derived from it. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jail_driver.config.model import AddressWanted, Command, JailConfig
from jail_driver.config.options import PluginOptions
from jail_driver.engine.paths import TaskDir
from jail_driver.engine.private import Private
from jail_driver.engine.redact import secrets_of
from jail_driver.host.port import MountSeen
from jail_driver.model import TaskSpec
from jail_state.core.events import TaskPlanned
from jail_state.core.ids import jail_name
from jail_state.core.steps import Phase, Step, StepKind, hook_steps, teardown_of

_FULL_PREFIX = {False: 32, True: 128}
_DEFAULT_RULESET = 4
"""devfsrules_jail, which jail(8) uses for mount.devfs where the job names none."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What planning needs to know of the host, read once at the start."""

    boot_id: str
    mounts: tuple[MountSeen, ...]
    keep_out: tuple[str, ...]
    """Directories whose mounts never belong into a view: the state directory, Nomad's allocations."""


def build(
    spec: TaskSpec, config: JailConfig, options: PluginOptions, directory: TaskDir, facts: HostFacts
) -> TaskPlanned:
    """Return the plan of a task, without what no event may hold."""
    name = jail_name(spec.id, spec.name)
    hooks = config.hooks
    up = (
        Step("files", StepKind.FILES, Phase.FILES),
        *_hooks("exec.prepare", hooks, Phase.PREPARE),
        *_addresses(config.ip4_addrs, v6=False),
        *_addresses(config.ip6_addrs, v6=True),
        *_mounts(spec, config, directory, facts),
        *_hooks("exec.prestart", hooks, Phase.PRESTART),
        *_rules(config, name),
        Step("jail", StepKind.JAIL, Phase.JAIL, {"name": name, "path": str(directory.root)}),
        *_hooks("exec.created", hooks, Phase.CREATED),
        *(
            Step(f"interface {nic}", StepKind.INTERFACE, Phase.INTERFACE, {"interface": nic})
            for nic in config.vnet_interfaces
        ),
        Step("supervisor", StepKind.SUPERVISOR, Phase.MAIN),
        Step("main", StepKind.MAIN, Phase.MAIN),
        *_hooks("exec.poststart", hooks, Phase.POSTSTART),
    )
    down_hooks = {hook: len(commands) for hook, commands in hooks.items()}
    return TaskPlanned(
        alloc_id=spec.alloc_id,
        task_name=spec.name,
        job_id=spec.job_id,
        namespace=spec.namespace,
        jail_name=name,
        directory=str(directory.path),
        alloc_dir=spec.alloc_dir,
        steps=up,
        teardown=teardown_of(up, down_hooks),
        boot_id=facts.boot_id,
        stop_signal=options.kill_signal,
        stop_timeout_s=options.kill_timeout_s if config.stop_timeout_s is None else config.stop_timeout_s,
        persist=config.persist,
        ip=_own_address(config),
        ports={port.label: port.to or port.value for port in spec.resources.ports},
    )


def private_of(spec: TaskSpec, config: JailConfig, options: PluginOptions) -> Private:
    """Return the part of a plan that no event may hold."""
    timeout_s = options.hook_timeout_s if config.exec_timeout_s is None else config.exec_timeout_s
    params = dict(config.params)
    for family, wanted in (("ip4.addr", config.ip4_addrs), ("ip6.addr", config.ip6_addrs)):
        if wanted:
            params[family] = ",".join(one.address for one in wanted)
    return Private(
        hooks=dict(config.hooks),
        params=params,
        start=config.start,
        hook_timeout_s=timeout_s,
        consolelog=config.consolelog or "",
        user=config.jail_user or spec.user or "",
        system_jail_user=config.system_jail_user,
        system_user=config.system_user or "",
        secrets=secrets_of(spec.env),
    )


def _own_address(config: JailConfig) -> str:
    first = (*config.ip4_addrs, *config.ip6_addrs)[:1]
    return first[0].address if first else ""


def _hooks(name: str, hooks: Mapping[str, tuple[Command, ...]], phase: Phase) -> tuple[Step, ...]:
    return hook_steps(name, len(hooks.get(name, ())), phase)


def _addresses(wanted: Iterable[AddressWanted], *, v6: bool) -> tuple[Step, ...]:
    return tuple(
        Step(
            f"address {one.interface}|{one.address}",
            StepKind.ADDRESS,
            Phase.ADDRESS,
            {
                "interface": one.interface,
                "address": one.address,
                "prefix": one.prefix_len or _FULL_PREFIX[v6],
            },
        )
        for one in wanted
        if one.interface is not None
    )


def _rules(config: JailConfig, name: str) -> tuple[Step, ...]:
    return tuple(
        Step(
            f"rule {rule.text(name)}",
            StepKind.RULE,
            Phase.RULE,
            {
                "resource": rule.resource,
                "action": rule.action,
                "amount": rule.amount,
                "per": rule.per,
            },
        )
        for rule in config.rules
    )


class _View:
    """Collects the mounts of one view, each after its mount point; keys stay unique where mounts stack."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.steps: list[Step] = []
        self._seen: dict[str, int] = {}

    def mount(
        self, inside: str, fstype: str, source: str, options: Iterable[str] = (), *, point: bool = True
    ) -> None:
        """Add one mount, and before it its mount point unless that is known to be there."""
        self._seen[inside] = count = self._seen.get(inside, 0) + 1
        name = inside if count == 1 else f"{inside} #{count}"
        if point:
            make = "file" if fstype == "nullfs" and os.path.isfile(source) else "directory"  # noqa: PTH113
            args = {"inside": inside, "make": make, "path": self.path}
            self.steps.append(Step(f"mount-point {name}", StepKind.MOUNT_POINT, Phase.MOUNT, args))
        what = {"inside": inside, "fstype": fstype, "source": source, "options": list(options)}
        self.steps.append(Step(f"mount {name}", StepKind.MOUNT, Phase.MOUNT, what))


def _mounts(spec: TaskSpec, config: JailConfig, directory: TaskDir, facts: HostFacts) -> tuple[Step, ...]:
    own = os.path.realpath(f"{spec.alloc_dir}/{spec.name}")
    path = os.path.realpath(config.path) if config.path else own
    view = _View(path)
    view.mount("/", "nullfs", path, point=False)
    below = _below(path, directory, facts)
    for inside, seen in below.items():
        view.mount(inside, "nullfs", seen.target, ("ro",) if seen.readonly else (), point=False)
    for extra in config.mounts:
        view.mount(extra.target, extra.fstype, extra.source, extra.options)
    if config.mount_devfs:
        ruleset = _DEFAULT_RULESET if config.devfs_ruleset is None else config.devfs_ruleset
        view.mount("/dev", "devfs", "devfs", (f"ruleset={ruleset}",))
    if config.mount_fdescfs:
        view.mount("/dev/fd", "fdescfs", "fdescfs")
    if config.mount_procfs:
        view.mount("/proc", "procfs", "procfs")
    for inside, source in _task_dirs(spec, own).items():
        carried = below.get(inside)
        # Mounting a directory onto itself is EDEADLK: the default Path already shows it.
        if f"{path}{inside}" != source and (carried is None or carried.target != source):
            view.mount(inside, "nullfs", source)
    for volume in spec.mounts:
        view.mount(volume.task_path, "nullfs", volume.host_path, ("ro",) if volume.readonly else ())
    return tuple(view.steps)


def _task_dirs(spec: TaskSpec, own: str) -> dict[str, str]:
    """Nomad's directories by their place inside (client/allocdir/task_dir.go: FS isolation "image")."""
    return {
        "/alloc": os.path.realpath(f"{spec.alloc_dir}/alloc"),
        "/local": f"{own}/local",
        "/secrets": f"{own}/secrets",
    }


def _below(path: str, directory: TaskDir, facts: HostFacts) -> dict[str, MountSeen]:
    """The file systems mounted below Path, in the order of mounting: nullfs does not carry them.

    Nomad's own mounts of other tasks and our views are never among them, even if Path is the whole host.
    """
    prefix = path.rstrip("/") + "/"
    found: dict[str, MountSeen] = {}
    for seen in facts.mounts:
        if not seen.target.startswith(prefix):
            continue
        ours = seen.target.startswith(f"{directory.path}/")
        foreign = any(
            seen.target.startswith(f"{keep}/") and not path.startswith(f"{keep}/") for keep in facts.keep_out
        )
        if not ours and not foreign:
            found["/" + seen.target.removeprefix(prefix)] = seen
    return found
