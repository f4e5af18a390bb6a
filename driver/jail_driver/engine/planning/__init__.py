"""From a wish to a plan: every effect of the start by name, and the way down derived from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from jail_driver.config.model import Command, JailConfig
from jail_driver.config.options import PluginOptions
from jail_driver.engine.paths import TaskDir
from jail_driver.engine.planning import network
from jail_driver.engine.planning.facts import HostFacts
from jail_driver.engine.planning.files import own_files
from jail_driver.engine.planning.mounts import mount_steps
from jail_driver.engine.planning.network import notices
from jail_driver.engine.private import Private
from jail_driver.engine.redact import secrets_of
from jail_driver.model import TaskSpec
from jail_state.core.events import TaskPlanned
from jail_state.core.ids import jail_name
from jail_state.core.steps import Phase, Step, StepKind, hook_steps, teardown_of

__all__ = ["HostFacts", "build", "notices", "private_of"]


def build(
    spec: TaskSpec, config: JailConfig, options: PluginOptions, directory: TaskDir, facts: HostFacts
) -> TaskPlanned:
    """Return the plan of a task, without what no event may hold."""
    name = jail_name(spec.id, spec.name)
    hooks = config.hooks
    files = own_files(spec, config)
    addresses = [one.address for one in (*config.ip4_addrs, *config.ip6_addrs) if not config.vnet]
    up = (
        Step("files", StepKind.FILES, Phase.FILES, {"files": files} if files else {}),
        *_hooks("exec.prepare", hooks, Phase.PREPARE),
        *network.host_steps(config),
        *mount_steps(spec, config, directory, facts, files),
        *_hooks("exec.prestart", hooks, Phase.PRESTART),
        *_rules(config, name),
        Step(
            "jail",
            StepKind.JAIL,
            Phase.JAIL,
            {"name": name, "path": str(directory.root), "addresses": addresses},
        ),
        *((Step("cpus", StepKind.CPUS, Phase.JAIL, {"cpus": config.cpus}),) if config.cpus else ()),
        *_hooks("exec.created", hooks, Phase.CREATED),
        *(
            Step(f"dataset {dataset}", StepKind.DATASET, Phase.CREATED, {"dataset": dataset})
            for dataset in config.zfs_datasets
        ),
        *network.inside_steps(config),
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
        ip=network.own_address(config),
        ports=network.ports_of(spec),
    )


def private_of(spec: TaskSpec, config: JailConfig, options: PluginOptions) -> Private:
    """Return the part of a plan that no event may hold."""
    timeout_s = options.hook_timeout_s if config.exec_timeout_s is None else config.exec_timeout_s
    return Private(
        hooks=dict(config.hooks),
        params={**config.params, **network.restrictions(config)},
        start=config.start,
        hook_timeout_s=timeout_s,
        consolelog=config.consolelog or "",
        user=config.jail_user or spec.user or "",
        system_jail_user=config.system_jail_user,
        system_user=config.system_user or "",
        work_dir=config.work_dir or "",
        fib=config.exec_fib,
        secrets=secrets_of(spec.env),
    )


def _hooks(name: str, hooks: Mapping[str, tuple[Command, ...]], phase: Phase) -> tuple[Step, ...]:
    return hook_steps(name, len(hooks.get(name, ())), phase)


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
