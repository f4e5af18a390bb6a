"""Nomad's ``resources`` block as limits of the jail, where the job sets none itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jail_driver.config.model import RctlRule
from jail_driver.model import Resources  # signatures are read by the type checker


@dataclass(frozen=True, slots=True)
class Limits:
    """What to apply to a jail.

    Args:
        rules: rctl rules: the job's own first, then those made from Nomad's resources.
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
    return Limits((*rules, *added), cpus, notices)
