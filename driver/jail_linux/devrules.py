"""devfs(8) rule sets: the ones that /etc/defaults/devfs.rules defines, and those that a user adds."""

import os

from jail_linux.files import read_file, write_file
from jail_linux.jsontext import dumps, loads
from jail_linux.registry import Registry

_HIDE_ALL, _BASIC, _LOGIN, _JAIL, _JAIL_VNET = 1, 2, 3, 4, 5
_BASIC_NAMES = ("null", "zero", "full", "crypto", "random", "urandom")
_LOGIN_NAMES = ("ptyp*", "ptyq*", "pts", "pts/*", "fd", "fd/*", "stdin", "stdout", "stderr", "tty")
_DEFAULTS: dict[int, list[str]] = {
    _HIDE_ALL: ["hide"],
    _BASIC: [f"path {name} unhide" for name in _BASIC_NAMES],
    _LOGIN: [f"path {name} unhide" for name in _LOGIN_NAMES],
    _JAIL: ["include 1", "include 2", "include 3", "path fuse unhide", "path zfs unhide"],
    _JAIL_VNET: ["include 1", "include 2", "include 3", "include 4", "path pf unhide"],
}
_STEP = 100
_DEPTH = 8


def load(registry: Registry) -> dict[int, dict[int, str]]:
    """Read all sets: rules by number, by set."""
    text = read_file(f"{registry.root}/devfs")
    if text is None:
        return {
            number: {_STEP * index: rule for index, rule in enumerate(rules, 1)}
            for number, rules in _DEFAULTS.items()
        }
    return {int(key): {int(one): rule for one, rule in rules.items()} for key, rules in loads(text).items()}


def save(registry: Registry, sets: dict[int, dict[int, str]]) -> None:
    """Write all sets."""
    plain = {str(key): {str(one): rule for one, rule in rules.items()} for key, rules in sets.items()}
    write_file(f"{registry.root}/devfs", dumps(plain))


def is_rule(words: list[str]) -> bool:
    """Whether words are a rule that this stand-in understands: conditions, then actions."""
    pending = list(words)
    while pending and pending[0] in {"path", "type"}:
        del pending[:2]
    while pending and pending[0] in {"hide", "unhide", "include", "mode", "user", "group"}:
        del pending[: 1 if pending[0] in {"hide", "unhide"} else 2]
    return (
        not pending and bool(words) and words[-1] not in {"path", "type", "include", "mode", "user", "group"}
    )


def is_visible(sets: dict[int, dict[int, str]], number: int, name: str) -> bool:
    """Whether a node is left visible by a set.

    Args:
        sets: All sets.
        number: The set; 0 hides nothing.
        name: The node's path below the mount point.
    """
    return _visible(sets, number, name, seen=True, depth=_DEPTH)


def _visible(sets: dict[int, dict[int, str]], number: int, name: str, *, seen: bool, depth: int) -> bool:
    if not depth:
        return seen
    for _, rule in sorted(sets.get(number, {}).items()):
        words = rule.split()
        if "path" in words and not _matches(words[words.index("path") + 1], name):
            continue
        if "include" in words:
            inner = int(words[words.index("include") + 1])
            seen = _visible(sets, inner, name, seen=seen, depth=depth - 1)
        if "hide" in words:
            seen = False
        if "unhide" in words:
            seen = True
    return seen


def _matches(pattern: str, name: str) -> bool:
    """Match a name against a pattern with one kind of wildcard, the star."""
    head, *parts = pattern.split("*")
    if not parts:
        return name == pattern
    if not name.startswith(head):
        return False
    rest = name[len(head) :]
    for part in parts[:-1]:
        where = rest.find(part)
        if where < 0:
            return False
        rest = rest[where + len(part) :]
    return rest.endswith(parts[-1])


def apply(sets: dict[int, dict[int, str]], number: int, target: str) -> None:
    """Make a stand-in devfs show exactly what a set leaves visible of it.

    Args:
        sets: All sets.
        number: The set.
        target: Mount point of a stand-in devfs.

    Raises:
        OSError: As the kernel says.
    """
    from jail_linux import attach, kernel

    for name in attach.NODES:
        path = f"{target}/{name}"
        if is_visible(sets, number, name):
            if not os.path.lexists(path):
                attach.node(target, name)
        elif os.path.lexists(path):
            if os.path.ismount(path):
                kernel.umount(path, kernel.MNT_DETACH)
            os.unlink(path)


def show(target: str, name: str) -> None:
    """Make one device or directory of the host's /dev visible in a stand-in devfs.

    Args:
        target: Mount point of a stand-in devfs.
        name: The node's path below it; nothing happens where the host has no such node.

    Raises:
        OSError: As the kernel says.
    """
    import stat

    from jail_linux import attach

    path = f"{target}/{name}"
    if os.path.lexists(path):
        return
    try:
        found = os.stat(f"/dev/{name}", follow_symlinks=False)
    except OSError:
        return
    if stat.S_ISDIR(found.st_mode):
        os.mkdir(path, 0o555)
    elif stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        attach.device(path, found.st_mode, found.st_rdev, f"/dev/{name}")
