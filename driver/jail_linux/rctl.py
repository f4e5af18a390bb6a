"""rctl(8): resource limits and usage of jails."""

import errno

from jail_linux import options, rules
from jail_linux.failure import Failure, error_text
from jail_linux.program import out, say
from jail_linux.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.rules import Rule
    from jail_linux.settings import Settings

_USAGE = ["usage: rctl [ -h ] [-a rule | -l filter | -r filter | -u filter | filter]"]
_DISABLED = "rctl: RACCT/RCTL present, but disabled; enable using kern.racct.enable=1 tunable"
_WIDTH = 10000  # humanize_number(3) with room for five characters: four digits and a unit
_UNITS = ("", "K", "M", "G", "T", "P", "E")


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run rctl.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status: how many of the rules or filters failed.

    Raises:
        Failure: With rctl's words, status 1.
    """
    found, words = options.parse("rctl", "ahlnru", arguments, _USAGE)
    letters = {letter for letter, _ in found}
    verbs = letters & {"a", "l", "r", "u"}
    if len(verbs) > 1:
        raise Failure("rctl: at most one of -a, -l, -r, or -u may be specified")
    if not words and verbs:
        raise Failure(*_USAGE)
    if not settings.racct:
        raise Failure(_DISABLED)
    verb = verbs.pop() if verbs else ""
    if verb == "u" and len(words) > 1:
        from jail_linux import usage

        usage.look_once()
    failed = 0
    for word in words or [":"]:
        try:
            _one(settings, verb, word, human="h" in letters)
        except Failure as failure:
            say(failure.lines[0])
            failed += 1
    return failed


def _one(settings: "Settings", verb: str, word: str, *, human: bool) -> None:
    rule = rules.parse(word)
    if verb == "a":
        _add(settings, rule, word)
    elif verb == "r":
        _remove(settings, rule, word)
    elif verb == "u":
        _usage(settings, rule, word, human=human)
    elif verb == "l":
        _limits(settings, rule, word, human=human)
    else:
        with Registry(settings, exclusive=False) as registry:
            _refuse(rules.filter_refusal(rule), f"show rules for '{word if word != ':' else '::'}'")
            _print([one for one in rules.load(registry) if rule.matches(one)], human=human)


def _refuse(number: int, what: str) -> None:
    if number:
        raise Failure(f"rctl: failed to {what}: {error_text(number)}")


def _add(settings: "Settings", rule: "Rule", word: str) -> None:
    _refuse(rules.refusal(rule), f"add rule '{word}'")
    with Registry(settings, exclusive=True) as registry:
        rules.add(registry, rule)
        _enforce(registry, rule)
        if rule.action == "devctl":
            from jail_linux import devd

            devd.ensure(settings, registry)


def _remove(settings: "Settings", rule: "Rule", word: str) -> None:
    what = f"remove rule '{word}'"
    _refuse(rules.filter_refusal(rule), what)
    with Registry(settings, exclusive=True) as registry:
        gone = rules.remove(registry, rule)
        _refuse(0 if gone else errno.ESRCH, what)
        for one in gone:
            _enforce(registry, one)
    if any(one.action == "devctl" for one in gone):
        from jail_linux import devd

        devd.poke(settings)


def _enforce(registry: Registry, rule: "Rule") -> None:
    """Make a changed rule felt by the processes that a jail has already."""
    if rule.subject != "jail" or not rule.ident:
        return
    jail = registry.named(rule.ident)
    if jail is not None and jail.name == rule.ident and not jail.dying:
        from jail_linux import limits

        limits.apply_to_members(registry, jail)


def _limits(settings: "Settings", rule: "Rule", word: str, *, human: bool) -> None:
    """Show what holds for one process; the kernel does this for no other subject."""
    what = f"get limits for '{word}'"
    if rule.subject != "process":
        _refuse(errno.EOPNOTSUPP, what)
    from jail_linux import members

    number = int(rule.ident or 0)
    inside = members.by_namespace()
    with Registry(settings, exclusive=False) as registry:
        jails = [jail for jail in registry.all() if number in inside.get(jail.uts, [])]
        if not jails and not any(number in processes for processes in inside.values()):
            _refuse(errno.ESRCH, what)
        held = [one for jail in jails for one in rules.of_jail(registry, jail.name)]
        own = [one for one in rules.load(registry) if one.subject == "process" and one.ident == rule.ident]
        _print([*own, *held], human=human)


def _usage(settings: "Settings", rule: "Rule", word: str, *, human: bool) -> None:
    from jail_linux import usage

    what = f"show resource consumption for '{word}'"
    if rule.subject not in {"jail", "process"}:
        _refuse(errno.EOPNOTSUPP if rule.subject in rules.SUBJECTS else errno.EINVAL, what)
    amounts = usage.measure(settings, rule)
    if amounts is None:
        _refuse(errno.ESRCH, what)
        return
    out("".join(f"{name}={humanize(amount) if human else amount}\n" for name, amount in amounts.items()))


def _print(shown: "list[Rule]", *, human: bool) -> None:
    out("".join(one.text(humanize(one.amount or 0) if human else None) + "\n" for one in shown))


def humanize(number: int) -> str:
    """Write a number with a binary unit as humanize_number(3) does for rctl -h.

    >>> [humanize(n) for n in (0, 8192, 1 << 20, 5 << 20, 64 << 20, 12308480, 10080256)]
    ['0', '8192', '1024K', '5120K', '64M', '12M', '9844K']
    """
    rest, scale = 0, 0
    half = 512
    while number >= _WIDTH or (number == _WIDTH - 1 and rest >= half):
        number, rest = divmod(number, 1024)
        scale += 1
    tenths = (rest * 10 + half) // 1024
    if scale and (number < 9 or (number == 9 and rest < 950 * 1024 // 1000)):  # noqa: PLR2004  # 9.95
        return f"{number + tenths // 10}.{tenths % 10}{_UNITS[scale]}"
    return f"{number + (rest >= half)}{_UNITS[scale]}"
