"""devfs(8): rule sets, and applying them to a mounted devfs."""

import os

from jail_linux import devrules, mounttable, options
from jail_linux.failure import Failure
from jail_linux.program import out
from jail_linux.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_USAGE = ["usage: devfs rule [-s ruleset] ...", "       devfs [-m mount-point] ruleset N"]
_STEP = 100


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run devfs.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status.

    Raises:
        Failure: With words like devfs's, status 1.
    """
    found, words = options.parse("devfs", "m:s:", arguments, _USAGE)
    letters = dict(found)
    if not words or words[0] not in {"rule", "ruleset"}:
        raise Failure(*_USAGE)
    point = letters.get("m", "/dev")
    if words[0] == "ruleset":
        return _apply(settings, point, _number(words[1] if len(words) > 1 else ""))
    more, words = options.parse("devfs", "s:", words[1:], _USAGE)
    letters.update(more)
    number = _number(letters.get("s", "0"))
    if not words:
        raise Failure(*_USAGE)
    if words[0] == "applyset":
        return _apply(settings, point, number)
    if words[0] == "apply":
        return _unhide(point, words[1:])
    with Registry(settings, exclusive=True) as registry:
        sets = devrules.load(registry)
        if _change(sets, number, words):
            devrules.save(registry, sets)
    return 0


def _number(text: str) -> int:
    if not text.isdigit() or int(text) > 0xFFFF:  # noqa: PLR2004  # devfs_rsnum is 16 bits
        raise Failure(f"devfs: invalid ruleset number: {text}")
    return int(text)


def _change(sets: dict[int, dict[int, str]], number: int, words: list[str]) -> bool:
    verb, rest = words[0], words[1:]
    rules = sets.get(number, {})
    if verb == "showsets":
        out("".join(f"{one}\n" for one in sorted(sets)))
        return False
    if verb == "show":
        out("".join(f"{one} {rule}\n" for one, rule in sorted(rules.items())))
        return False
    if verb == "delset":
        sets.pop(number, None)
        return True
    if verb == "del" and len(rest) == 1 and rest[0].isdigit():
        if int(rest[0]) not in rules:
            raise Failure("devfs: ioctl DEVFSIO_RDEL: No such file or directory")
        del rules[int(rest[0])]
        return True
    if verb == "add" and number:
        place = (
            int(rest.pop(0)) if rest and rest[0].isdigit() else (max(rules, default=0) // _STEP + 1) * _STEP
        )
        if not devrules.is_rule(rest):
            raise Failure("devfs: invalid rule")
        sets.setdefault(number, {})[place] = " ".join(rest)
        return True
    raise Failure(*_USAGE)


def _unhide(point: str, words: list[str]) -> int:
    """Apply one rule at once: the form that unhides a path; names that no device has are no error."""
    target = os.path.realpath(point)
    if len(words) != 3 or words[0] != "path" or words[2] != "unhide":  # noqa: PLR2004  # the one form kept
        raise Failure("devfs: invalid rule")
    if not any(one.target == target and one.source == "devfs" for one in mounttable.everything()):
        raise Failure(f"devfs: {point}: not a devfs of the stand-ins")
    devrules.show(target, words[1])
    return 0


def _apply(settings: "Settings", point: str, number: int) -> int:
    target = os.path.realpath(point)
    if not any(one.target == target and one.source == "devfs" for one in mounttable.everything()):
        raise Failure(f"devfs: {point}: not a devfs of the stand-ins")
    with Registry(settings, exclusive=True) as registry:
        devrules.apply(devrules.load(registry), number, target)
    return 0
