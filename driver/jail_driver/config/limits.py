"""Nomad's ``resources`` block as limits of the jail, where the job sets none itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from jail_driver.config.model import RctlRule
from jail_driver.config.rules import MEMORY, amount_of
from jail_driver.model import Resources  # signatures are read by the type checker


@dataclass(frozen=True, slots=True)
class Limits:
    """What to apply to a jail.

    Args:
        rules: rctl rules: the job's own first, then those made from Nomad's resources, then evidence.
        cpus: cores to pin the jail to, as cpuset(1) takes them (``0-1,4``); empty: all.
        notices: what cannot be enforced, for the task's events.
    """

    rules: tuple[RctlRule, ...]
    cpus: str = ""
    notices: tuple[str, ...] = ()


def from_resources(
    resources: Resources,
    rules: tuple[RctlRule, ...],
    wanted: frozenset[str],
    *,
    racct: bool,
    core_mhz: float = 0.0,
) -> Limits:
    """Adds Nomad's resources to the job's own rules; a resource that the job names is left to the job.

    Memory is ``sigkill`` plus ``devctl``: deny on memoryuse only makes the kernel page out, and the devctl
    message is the evidence that a task died of this limit.

    Args:
        resources: what the scheduler gave the task.
        rules: the job's ``Rctl``.
        wanted: the plugin option resource_limits: memory, cpu, cores.
        racct: whether the kernel accounts (kern.racct.enable).
        core_mhz: clock of one core, to turn cpu shares into a percentage; 0: unknown.
    """
    own = {rule.resource for rule in rules}
    memory = resources.memory_max_bytes or resources.memory_bytes
    added: list[RctlRule] = []
    if "memory" in wanted and memory > 0 and "memoryuse" not in own:
        added += [RctlRule("memoryuse", action, str(memory)) for action in ("sigkill", "devctl")]
    if "cpu" in wanted and resources.cpu_shares_mhz > 0 and core_mhz > 0 and "pcpu" not in own:
        percent = max(1, math.ceil(resources.cpu_shares_mhz / core_mhz * 100))
        added.append(RctlRule("pcpu", "deny", str(percent)))
    notices: tuple[str, ...] = ()
    if added and not racct:
        names = ", ".join(dict.fromkeys(rule.resource for rule in added))
        notices = (
            f"limits from the resources block ({names}) are not enforced: kern.racct.enable is 0 on this host",
        )
        added = []
    cpus = resources.cpuset_cpus if "cores" in wanted else ""
    return Limits(_with_evidence((*rules, *added)), cpus, notices)


def _with_evidence(rules: tuple[RctlRule, ...]) -> tuple[RctlRule, ...]:
    """Lets each memory limit that kills tell so: a devctl rule of the same amount limits nothing."""
    there = {(rule.resource, amount_of(rule.amount), rule.per or "jail") for rule in _told(rules)}
    return (
        *rules,
        *(
            replace(rule, action="devctl")
            for rule in rules
            if rule.action == "sigkill"
            and rule.resource in MEMORY
            and (rule.resource, amount_of(rule.amount), rule.per or "jail") not in there
        ),
    )


def _told(rules: tuple[RctlRule, ...]) -> tuple[RctlRule, ...]:
    return tuple(rule for rule in rules if rule.action == "devctl")


def not_enforced(rules: tuple[RctlRule, ...], enforced: str | None) -> tuple[str, ...]:
    """Says which limits this host accepts and does not enforce, one sentence at most.

    Args:
        rules: what will be set.
        enforced: the host's kern.racct.enforced: ``resource:action:per`` words, with ``/process`` behind
            those that it enforces for each process only. FreeBSD, which enforces all, has no such value.
    """
    if enforced is None:
        return ()
    words = enforced.split()
    missing = []
    for rule in rules:
        full = f"{rule.resource}:{rule.action}:{rule.per or 'jail'}"
        short = f"{rule.resource}:{rule.action}" + (f" per {rule.per}" if rule.per else "")
        if f"{full}/process" in words:
            missing.append(f"{short} (for each process, not for all together)")
        elif full not in words and rule.action != "devctl":
            missing.append(f"{short} (not at all)")
    if not missing:
        return ()
    return (f"limits that this host cannot enforce as written: {', '.join(dict.fromkeys(missing))}",)
