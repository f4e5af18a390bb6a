"""From a wish to a plan: every effect of the start by name, and the way down derived from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jail_driver.config.model import AddressWanted, Command, JailConfig
from jail_driver.config.options import PluginOptions
from jail_driver.engine.paths import TaskDir
from jail_driver.engine.planning.facts import HostFacts
from jail_driver.engine.planning.mounts import mount_steps
from jail_driver.engine.private import Private
from jail_driver.engine.redact import secrets_of
from jail_driver.model import TaskSpec
from jail_state.core.events import TaskPlanned
from jail_state.core.ids import jail_name
from jail_state.core.steps import Phase, Step, StepKind, hook_steps, teardown_of

__all__ = ["HostFacts", "build", "private_of"]

_FULL_PREFIX = {False: 32, True: 128}


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
        *mount_steps(spec, config, directory, facts),
        *_hooks("exec.prestart", hooks, Phase.PRESTART),
        *_rules(config, name),
        Step("jail", StepKind.JAIL, Phase.JAIL, {"name": name, "path": str(directory.root)}),
        *((Step("cpus", StepKind.CPUS, Phase.JAIL, {"cpus": config.cpus}),) if config.cpus else ()),
        *_hooks("exec.created", hooks, Phase.CREATED),
        *(
            Step(f"dataset {dataset}", StepKind.DATASET, Phase.CREATED, {"dataset": dataset})
            for dataset in config.zfs_datasets
        ),
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
        fib=config.exec_fib,
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
