"""Resource limits: the ``Rctl`` key, with every refusal of the kernel known before anything happens.

Sources: rctl(8), sys/kern/kern_racct.c and kern_rctl.c of FreeBSD, and what rctl(8) answered on 15.1 to
each resource, action and "per".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jail_driver.config import read
from jail_driver.config.kinds import Problems
from jail_driver.config.model import RctlRule


@dataclass(frozen=True, slots=True)
class Resource:
    """What one resource allows.

    Args:
        unit: of the amount.
        doc: one sentence.
        deny: whether the kernel can refuse more of it.
        throttle: whether the kernel can slow it down.
        per_process: whether it is counted for single processes.
        max_amount: largest amount; times and percentages are kept in millionths of a 63 bit number.
    """

    unit: str
    doc: str
    deny: bool = True
    throttle: bool = False
    per_process: bool = True
    max_amount: int = 2**63 - 1


_MILLIONTHS = (2**63 - 1) // 1_000_000

RESOURCES: Mapping[str, Resource] = {
    "cputime": Resource("s", "CPU time", deny=False, max_amount=_MILLIONTHS),
    "datasize": Resource("bytes", "data segment"),
    "stacksize": Resource("bytes", "stack"),
    "coredumpsize": Resource("bytes", "core dump"),
    "memoryuse": Resource("bytes", "resident memory; deny only makes the kernel page out"),
    "memorylocked": Resource("bytes", "locked memory"),
    "maxproc": Resource("processes", "processes"),
    "openfiles": Resource("descriptors", "file descriptor table"),
    "vmemoryuse": Resource("bytes", "address space"),
    "pseudoterminals": Resource("terminals", "pseudo-terminals", per_process=False),
    "swapuse": Resource("bytes", "swap reserved or used", per_process=False),
    "nthr": Resource("threads", "threads"),
    "msgqqueued": Resource("messages", "queued System V messages", per_process=False),
    "msgqsize": Resource("bytes", "System V message queues", per_process=False),
    "nmsgq": Resource("queues", "System V message queues", per_process=False),
    "nsem": Resource("semaphores", "System V semaphores", per_process=False),
    "nsemop": Resource("operations", "semaphores changed in one semop(2) call"),
    "nshm": Resource("segments", "System V shared memory segments", per_process=False),
    "shmsize": Resource("bytes", "System V shared memory", per_process=False),
    "wallclock": Resource("s", "wall clock time", deny=False, max_amount=_MILLIONTHS),
    "pcpu": Resource("% of one core", "CPU share", max_amount=_MILLIONTHS),
    "readbps": Resource("bytes/s", "file system reads", deny=False, throttle=True),
    "writebps": Resource("bytes/s", "file system writes", deny=False, throttle=True),
    "readiops": Resource("operations/s", "file system reads", deny=False, throttle=True),
    "writeiops": Resource("operations/s", "file system writes", deny=False, throttle=True),
}

SIGNALS = (
    *("sighup", "sigint", "sigquit", "sigill", "sigtrap", "sigabrt", "sigemt", "sigfpe", "sigkill", "sigbus"),
    *("sigsegv", "sigsys", "sigpipe", "sigalrm", "sigterm", "sigurg", "sigstop", "sigtstp", "sigchld"),
    *("sigttin", "sigttou", "sigio", "sigxcpu", "sigxfsz", "sigvtalrm", "sigprof", "sigwinch", "siginfo"),
    *("sigusr1", "sigusr2", "sigthr"),
)
"""Without sigcont, which the kernel does not know here (Invalid argument)."""

MEMORY = frozenset({"memoryuse", "vmemoryuse", "swapuse"})
"""Resources whose sigkill means that a process ran out of memory."""

ACTIONS = ("deny", "log", "devctl", "throttle", *SIGNALS)
PERS = ("jail", "process", "user", "loginclass")

_AMOUNT = re.compile(r"(\d{1,20})([kmgtpe]?)b?\Z", re.IGNORECASE | re.ASCII)
_SHIFT = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}
_FORM = 'Rctl = { Maxproc = { Action = "deny", Amount = "100" } }'


def amount_of(text: str) -> int:
    """Returns an amount in the kernel's units.

    >>> amount_of("64"), amount_of("64k"), amount_of("1GB")
    (64, 65536, 1073741824)

    Raises:
        ValueError: it is none.
    """
    match = _AMOUNT.match(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) << _SHIFT[match[2].lower()]


def read_rctl(value: Any, problems: Problems) -> tuple[RctlRule, ...]:
    """Reads the ``Rctl`` key in all its HCL forms: map or block, each resource a map, block or list of maps."""
    blocks = read.maps(value)
    if blocks is None:
        problems.add("Rctl", value, "is not a block of resources", f"write {_FORM}")
        return ()
    rules: list[RctlRule] = []
    for block in blocks:
        for name, limits in block.items():
            if limits is not None:
                rules.extend(_read_resource(str(name), limits, problems))
    return _without_clashes(rules, problems)


def _read_resource(name: str, value: Any, problems: Problems) -> list[RctlRule]:
    key = f"Rctl {name}"
    resource = RESOURCES.get(name.lower())
    if resource is None:
        near = difflib.get_close_matches(name.lower(), RESOURCES, n=1)
        remedy = f"did you mean {near[0].capitalize()}?" if near else "see rctl(8), as Memoryuse or Maxproc"
        problems.add(key, value, "is no resource of rctl(8)", remedy)
        return []
    limits = read.maps(value)
    if limits is None:
        problems.add(key, value, "is not a limit", f"write it in full: {_FORM}")
        return []
    rules = (_read_limit(key, name.lower(), resource, limit, problems) for limit in limits)
    return [rule for rule in rules if rule is not None]


def _read_limit(
    key: str, name: str, resource: Resource, limit: Mapping[str, Any], problems: Problems
) -> RctlRule | None:
    before = len(problems.found)
    fields = {str(field).lower(): value for field, value in limit.items() if value is not None}
    for field, value in limit.items():
        if str(field).lower() not in {"action", "amount", "per"}:
            problems.add(f"{key} {field}", value, "is unknown", "write Action, Amount and, if wanted, Per")
    action = _read_word(f"{key} Action", fields.get("action"), ACTIONS, problems)
    per = _read_word(f"{key} Per", fields["per"], PERS, problems) if "per" in fields else None
    amount = _read_amount(f"{key} Amount", fields.get("amount"), resource, problems)
    if action is not None:
        _check_pair(key, resource, action, per, problems)
    if action is None or amount is None or len(problems.found) > before:
        return None
    return RctlRule(name, action, amount, per)


def _read_word(key: str, value: Any, words: tuple[str, ...], problems: Problems) -> str | None:
    """Reads one of some words; rctl(8) takes them in any case."""
    listed = (
        "deny, log, devctl, throttle or a signal such as sigterm" if words is ACTIONS else ", ".join(words)
    )
    if value is None:
        problems.found.append(f"{key} is missing; write {listed}")
        return None
    if isinstance(value, str) and value.lower() in words:
        return value.lower()
    problems.add(key, value, "is unknown to rctl(8)", f"write {listed}")
    return None


def _read_amount(key: str, value: Any, resource: Resource, problems: Problems) -> str | None:
    if value is None:
        problems.found.append(f"{key} is missing; write a number of {resource.unit}, as 64 or 64M")
        return None
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    match = _AMOUNT.match(text)
    if match is None:
        problems.add(
            key, value, "is no amount", "write a whole number, with K, M, G, T, P or E behind it if wanted"
        )
        return None
    if amount_of(text) > resource.max_amount:
        problems.add(key, value, "is too large for the kernel", f"write at most {resource.max_amount}")
        return None
    return text


def _check_pair(key: str, resource: Resource, action: str, per: str | None, problems: Problems) -> None:
    """Notes what the kernel answers with "Operation not supported"."""
    if action == "deny" and not resource.deny:
        better = "throttle" if resource.throttle else "sigterm"
        problems.add(
            f"{key} Action", action, "the kernel cannot deny it", f'write "{better}", a signal, log or devctl'
        )
    if action == "throttle" and not resource.throttle:
        better = "deny" if resource.deny else "sigterm"
        problems.add(
            f"{key} Action",
            action,
            "the kernel cannot throttle it",
            f'write "{better}"; only readbps, writebps, readiops and writeiops can be throttled',
        )
    if per == "process" and not resource.per_process:
        problems.add(
            f"{key} Per",
            per,
            "the kernel does not count it for single processes",
            'leave Per out, or write "jail", "user" or "loginclass"',
        )


def _without_clashes(rules: list[RctlRule], problems: Problems) -> tuple[RctlRule, ...]:
    """Drops repeated rules; two deny amounts for the same thing are a mistake, as the last would win."""
    kept: dict[tuple[str, str, str, str], RctlRule] = {}
    denied: dict[tuple[str, str], str] = {}
    for rule in rules:
        where = (rule.resource, rule.per or "jail")
        if rule.action == "deny" and denied.setdefault(where, rule.amount) != rule.amount:
            problems.add(
                f"Rctl {rule.resource}",
                [denied[where], rule.amount],
                "is denied at two amounts",
                "keep one of them",
            )
        kept[(rule.resource, rule.action, rule.amount, where[1])] = rule
    return tuple(kept.values())
