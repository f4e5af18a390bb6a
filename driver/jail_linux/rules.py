"""rctl(8) rules: their grammar, what the kernel refuses, and the list that the registry keeps.

The refusals are those recorded on FreeBSD 15.1 for every resource, action and per (sys/kern/kern_rctl.c).
"""

import errno
import os

from jail_linux import passwd
from jail_linux.failure import Failure
from jail_linux.files import read_file, write_file
from jail_linux.jsontext import dumps, loads
from jail_linux.registry import Registry

RESOURCES = (
    "cputime", "datasize", "stacksize", "coredumpsize", "memoryuse", "memorylocked", "maxproc", "openfiles",
    "vmemoryuse", "pseudoterminals", "swapuse", "nthr", "msgqqueued", "msgqsize", "nmsgq", "nsem", "nsemop", "nshm",
    "shmsize", "wallclock", "pcpu", "readbps", "writebps", "readiops", "writeiops",
)  # fmt: skip
SIGNALS = (
    "hup", "int", "quit", "ill", "trap", "abrt", "emt", "fpe", "kill", "bus", "segv", "sys", "pipe", "alrm", "term",
    "urg", "stop", "tstp", "chld", "ttin", "ttou", "io", "xcpu", "xfsz", "vtalrm", "prof", "winch", "info", "usr1",
    "usr2", "thr",
)  # fmt: skip
ACTIONS = frozenset({"deny", "log", "devctl", "throttle"} | {f"sig{name}" for name in SIGNALS})
SUBJECTS = frozenset({"process", "user", "loginclass", "jail"})
_SHORT = {
    "u": "user",
    "p": "process",
    "l": "loginclass",
    "c": "loginclass",
    "class": "loginclass",
    "j": "jail",
}
_RATES = frozenset({"readbps", "writebps", "readiops", "writeiops"})
_UNDENIABLE = _RATES | {"cputime", "wallclock"}
_SLOPPY = frozenset(
    {"pseudoterminals", "swapuse", "msgqqueued", "msgqsize", "nmsgq", "nsem", "nshm", "shmsize"}
)
_SUFFIXES = {"e": 60, "p": 50, "t": 40, "g": 30, "m": 20, "k": 10, "b": 0}
_MAX_UNSIGNED = 2**64 - 1
_MAX_SIGNED = 2**63 - 1


class Rule:
    """A rule, or a filter: parts that are None were not given.

    Attributes:
        subject: process, user, loginclass or jail.
        ident: Process id, user name, login class or jail name.
        resource: One of RESOURCES.
        action: One of ACTIONS.
        amount: In the resource's unit.
        per: As subject.
    """

    __slots__ = ("action", "amount", "ident", "per", "resource", "subject")

    def __init__(self, parts: "list[str | None]", amount: "int | None", per: "str | None") -> None:
        self.subject, self.ident, self.resource, self.action = (*parts, None, None, None, None)[:4]
        self.amount = amount
        self.per = per

    def matches(self, other: "Rule") -> bool:
        """Whether a rule has every part that this filter names."""
        return all(
            mine is None or mine == getattr(other, name)
            for name in self.__slots__
            if (mine := getattr(self, name)) is not None
        )

    def text(self, shown_amount: "str | None" = None) -> str:
        """Write a complete rule as rctl shows it."""
        amount = shown_amount if shown_amount is not None else str(self.amount)
        per = "" if self.per == self.subject else f"/{self.per}"
        return f"{self.subject}:{self.ident}:{self.resource}:{self.action}={amount}{per}"


def expand_number(text: str) -> int:
    """Read a number with a unit, as in 64M, 1k, 0x10, 64MB, the way libutil does.

    Raises:
        ValueError: It is none, or does not fit into 64 bits.
    """
    body = text.lower()
    hexadecimal = body.startswith("0x")
    digits = body.rstrip("eptgmkb") if not hexadecimal else body
    suffix = body[len(digits) :]
    if not digits.isascii() or not (digits.isdigit() or hexadecimal):
        raise ValueError(text)
    octal = len(digits) > 1 and digits.startswith("0") and not hexadecimal
    number = int(digits, 16 if hexadecimal else 8 if octal else 10)
    if suffix and (suffix[0] not in _SUFFIXES or suffix[1:] not in {"", "b"}):
        raise ValueError(text)
    number <<= _SUFFIXES[suffix[0]] if suffix else 0
    if number > _MAX_UNSIGNED:
        raise ValueError(text)
    return number


def parse(text: str) -> Rule:
    """Read a rule or a filter as rctl(8) itself does, before the kernel sees it.

    Args:
        text: As on the command line.

    Returns:
        The parts; the kernel's checks are `refusal`.

    Raises:
        Failure: rctl's own words about a malformed rule.
    """
    head, *rest = text.split(":", 3)
    if not rest:
        raise Failure(f"rctl: malformed rule '{text}': missing subject")
    subject = _SHORT.get(head.lower(), head.lower())
    if subject == "user" and rest[0] and not rest[0].isdigit() and passwd.by_name(rest[0]) is None:
        raise Failure(f"rctl: malformed rule '{text}': unknown user '{rest[0]}'")
    action, equals, tail = (rest[2] if len(rest) > 2 else "").partition("=")  # noqa: PLR2004  # the fourth part
    amount_text, slash, per = tail.partition("/")
    if not equals:
        action, slash, per = action.partition("/")
    amount = None
    if amount_text:
        try:
            amount = expand_number(amount_text)
        except ValueError:
            raise Failure(f"rctl: malformed rule '{text}': invalid numeric value '{amount_text}'") from None
    resource = rest[1].lower() if len(rest) > 1 else ""
    parts = [subject or None, rest[0] or None, resource or None, action.lower() or None]
    return Rule(parts, amount, per.lower() if slash else None)


def filter_refusal(rule: Rule) -> int:
    """Say with which errno the kernel refuses a filter, 0 if it does not."""
    known = (
        (rule.subject, SUBJECTS),
        (rule.resource, RESOURCES),
        (rule.action, ACTIONS),
        (rule.per, SUBJECTS),
    )
    if any(part is not None and part not in allowed for part, allowed in known):
        return errno.EINVAL
    return errno.ERANGE if rule.amount is not None and rule.amount > _MAX_SIGNED else 0


def refusal(rule: Rule) -> int:
    """Say with which errno the kernel refuses to add a rule, 0 if it does not."""
    number = filter_refusal(rule)
    if number:
        return number
    if None in {rule.subject, rule.ident, rule.resource, rule.action} or rule.amount is None:
        return errno.EINVAL
    if rule.subject == "process" and not os.path.isdir(f"/proc/{rule.ident}"):
        return errno.ESRCH
    unsupported = (
        (rule.action == "deny" and rule.resource in _UNDENIABLE)
        or (rule.action == "throttle" and rule.resource not in _RATES)
        or ((rule.per or rule.subject) == "process" and rule.resource in _SLOPPY)
    )
    return errno.EOPNOTSUPP if unsupported else 0


def load(registry: Registry) -> list[Rule]:
    """Read all rules: those of the newest subject first, the newest of a subject first."""
    text = read_file(f"{registry.root}/rules")
    found = []
    for entry in loads(text) if text else []:
        rule = Rule(entry[:4], entry[4], entry[5])
        found.append(rule)
    return found


def _save(registry: Registry, rules: list[Rule]) -> None:
    fields = Rule.__slots__
    order = ("subject", "ident", "resource", "action", "amount", "per")
    assert set(order) == set(fields)  # noqa: S101  # a rule is exactly its parts
    write_file(f"{registry.root}/rules", dumps([[getattr(rule, name) for name in order] for rule in rules]))


def add(registry: Registry, rule: Rule) -> None:
    """Add a complete rule; it takes the place of an equal one, for deny of one with another amount.

    Args:
        registry: Held exclusively.
        rule: A rule without a refusal.
    """
    rule.per = rule.per or rule.subject
    same = Rule([rule.subject, rule.ident, rule.resource, rule.action], rule.amount, rule.per)
    if rule.action == "deny":
        same.amount = None
    kept = [old for old in load(registry) if not same.matches(old)]
    owner = Rule([rule.subject, rule.ident], None, None)
    place = next((index for index, old in enumerate(kept) if owner.matches(old)), 0)
    _save(registry, [*kept[:place], rule, *kept[place:]])


def remove(registry: Registry, wanted: Rule) -> list[Rule]:
    """Remove all rules that a filter matches.

    Args:
        registry: Held exclusively.
        wanted: The filter.

    Returns:
        What was removed.
    """
    rules = load(registry)
    gone = [rule for rule in rules if wanted.matches(rule)]
    if gone:
        _save(registry, [rule for rule in rules if not wanted.matches(rule)])
    return gone


def of_jail(registry: Registry, name: str) -> list[Rule]:
    """All rules of one jail, by name."""
    return [rule for rule in load(registry) if rule.subject == "jail" and rule.ident == name]
