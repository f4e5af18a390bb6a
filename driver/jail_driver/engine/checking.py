"""Everything that can be known to be wrong with a task before anything is made, in one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jail_driver.config import limits, policy
from jail_driver.config.model import JailConfig, KernelFacts
from jail_driver.config.settle import settle
from jail_driver.config.task import read_task_config
from jail_driver.engine.absent import absent
from jail_driver.engine.environment import choose_user
from jail_driver.engine.planning.mounts import ruleset_of
from jail_driver.errors import ConfigError, HostError, StartError
from jail_driver.host import accounts
from jail_driver.model import TaskSpec

if TYPE_CHECKING:
    from jail_driver.engine.runtime import Runtime


async def check(runtime: Runtime, spec: TaskSpec) -> JailConfig:
    """Return a task's configuration, complete: looked up, and with the limits of Nomad's resources.

    Raises:
        ConfigError: naming every problem that was found.
        StartError: only what may be there later is not there now: a file, a name, an interface.
    """
    config, found = await _read(runtime, spec)
    problems = [*_of_spec(spec, runtime.options.policy), *found]
    failures: list[str] = []
    try:
        config = await asyncio.to_thread(settle, config, runtime.options.policy)
    except ConfigError as error:
        problems += error.problems
    except HostError as error:
        failures.append(str(error))
    problems += [*_of_path(spec, config), *_of_users(spec, config), *_of_files(config)]
    problems += await _of_host(runtime, spec, config)
    failures += await absent(runtime, config)
    empty = await _empty_ruleset(runtime, spec, config)
    if empty and runtime.options.policy.parameters is not None:
        problems.append(empty)
    if problems:
        raise ConfigError(*dict.fromkeys([*problems, *failures]))
    if failures:
        raise StartError("; ".join(failures), recoverable=True)
    if empty:
        config = replace(config, notices=(*config.notices, empty))
    return await _limited(runtime, spec, config)


async def _read(runtime: Runtime, spec: TaskSpec) -> tuple[JailConfig, list[str]]:
    """Return what can be read of the configuration, and what is wrong with the rest."""
    config, problems = read_task_config(spec.config, await _kernel(runtime), runtime.options.policy)
    if problems.missing:
        # kldload(8) may have brought it just now, and a job that is refused is not tried again.
        config, problems = read_task_config(spec.config, await _kernel(runtime), runtime.options.policy)
    return config, problems.found


async def _kernel(runtime: Runtime) -> KernelFacts:
    host = runtime.host
    names, release, racct = await asyncio.gather(
        host.kernel_parameters(), host.release(), host.racct_enabled()
    )
    return replace(KernelFacts.from_sysctl(names, release), racct=racct)


def _of_spec(spec: TaskSpec, allowed: policy.Policy) -> Iterable[str]:
    for device in spec.devices:
        yield from policy.check_device(device.host_path, allowed)
    for volume in spec.mounts:
        yield from policy.check_volume(volume.host_path, allowed)


def root_of(spec: TaskSpec, config: JailConfig) -> Path | None:
    """Return the directory that ``Path`` means: the task's own where there is none, None if it is unreadable."""
    if config.path is not None:
        return Path(config.path)
    return Path(spec.alloc_dir) / spec.name if spec.config.get("Path") is None else None


def _of_path(spec: TaskSpec, config: JailConfig) -> Iterable[str]:
    path = root_of(spec, config)
    if path is None:
        return  # the configuration's own check says why
    try:
        if path.is_dir():
            return
        what = "is not a directory" if path.exists() else "no such directory on this node"
    except OSError as error:
        what = error.strerror or "cannot be read"
    yield f'Path = "{path}": {what}; name the directory that is to be the root of the jail'


def _of_users(spec: TaskSpec, config: JailConfig) -> Iterable[str]:
    if config.jail_user and spec.user and config.jail_user != spec.user:
        yield (
            f'Exec_jail_user = "{config.jail_user}": the task has user = "{spec.user}" too, which is another;'
            " keep one of them"
        )
        return
    if config.system_user and accounts.find(config.system_user) is None:
        yield (
            f'Exec_system_user = "{config.system_user}": no such user on the host; add the account or name another'
        )
    root = root_of(spec, config)
    if root is not None and _is_directory(root):
        try:
            choose_user(config.jail_user or spec.user or "", root, on_host=config.system_jail_user)
        except ConfigError as error:
            key = "Exec_jail_user = " if config.jail_user else "user = "
            yield from (problem.replace("user = ", key, 1) for problem in error.problems)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _of_files(config: JailConfig) -> Iterable[str]:
    if config.consolelog and not _is_directory(Path(config.consolelog).parent):
        yield (
            f'Exec_consolelog = "{config.consolelog}": the directory it lies in is not there; make it, or name'
            " another"
        )


async def _of_host(runtime: Runtime, spec: TaskSpec, config: JailConfig) -> list[str]:
    """Say which programs and tables of the host the task needs and does not find."""
    problems = []
    fib = config.exec_fib
    if fib is not None and not runtime.tools.setfib:
        problems.append(f"Exec_fib = {fib}: this host has no setfib(1); leave the key out")
    elif fib is not None:
        fibs = await runtime.host.kernel_value("net.fibs") or "1"
        if fib >= int(fibs):
            problems.append(
                f"Exec_fib = {fib}: this kernel has routing tables 0 to {int(fibs) - 1} (net.fibs); "
                "set net.fibs in /boot/loader.conf or name another"
            )
    jid = config.params.get("jid")
    if jid is not None and await _is_taken(runtime, spec, int(jid)):
        problems.append(f"Jid = {jid}: another jail has it; leave the key out and the kernel chooses")
    if config.zfs_datasets and not runtime.tools.zfs:
        problems.append(f"Zfs_dataset = {list(config.zfs_datasets)}: this host has no zfs(8)")
    return problems


async def _empty_ruleset(runtime: Runtime, spec: TaskSpec, config: JailConfig) -> str:
    """Say that the jail's /dev would show every device of the host, disks and memory too.

    The kernel takes a ruleset that nobody has loaded for one without rules (devfs_rule.c); so does jail(8).
    Rule set 0, which the job must ask for, is that on purpose.
    """
    ruleset = ruleset_of(config)
    if config.devfs_ruleset is None and spec.config.get("Devfs_ruleset") is not None:
        return ""  # a number that cannot be read is told as that
    if not (config.mount_devfs or spec.devices) or not ruleset:
        return ""
    if await runtime.host.has_device_rules(ruleset):
        return ""
    return (
        f"Devfs_ruleset = {ruleset}: this host has no rules of that number loaded, so /dev shows every device of"
        " the host; load them: service devfs onestart, or name another set"
    )


async def _is_taken(runtime: Runtime, spec: TaskSpec, jid: int) -> bool:
    """Tell whether a jail's number is another's: this task's own jail is there when a start is repeated."""
    plans = [task.plan for task in runtime.tasks()]
    own = {plan.jail_name for plan in plans if (plan.alloc_id, plan.task_name) == (spec.alloc_id, spec.name)}
    return any(jail.jid == jid and jail.name not in own for jail in await runtime.host.jails(dying=False))


async def _limited(runtime: Runtime, spec: TaskSpec, config: JailConfig) -> JailConfig:
    """Add what Nomad's resources mean, and say what this host cannot enforce."""
    host, wanted = runtime.host, runtime.options.resource_limits
    clock = await host.kernel_value("hw.clockrate") if "cpu" in wanted else None
    found = limits.from_resources(
        spec.resources,
        config.rules,
        wanted,
        racct=await host.racct_enabled(),
        core_mhz=float(clock) if clock and clock.isdigit() else 0.0,
    )
    enforced = await host.kernel_value("kern.racct.enforced") if found.rules else None
    notices = (*config.notices, *found.notices, *limits.not_enforced(found.rules, enforced))
    return replace(config, rules=found.rules, cpus=found.cpus, notices=notices)
