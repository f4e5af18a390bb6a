"""jail(8): create, change and remove jails, kernel parameters only (the driver runs hooks and mounts itself)."""

import os
import time

from jail_linux import lifetime, members, options, wishes
from jail_linux.failure import Failure
from jail_linux.program import out, say
from jail_linux.registry import Jail, Registry, uptime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings
    from jail_linux.wishes import Wishes

_USAGE = [
    "usage: jail [-dhilqv] [-J jid_file] [-u username] [-U username]",
    "            -[cmr] param=value ... [command=command ...]",
    "       jail [-dqv] [-f file] -[cmr] [jail]",
    "       jail [-qv] [-f file] -[rR] ['*' | jail ...]",
    "       jail [-dhilqv] [-J jid_file] [-u username] [-U username]",
    "            [-n jailname] [-s securelevel]",
    "            path hostname ip[,...] command ...",
    "       jail [-f file] -e separator",
]
_DEFAULT_CONF = "/etc/jail.conf"
_STOP_TIMEOUT_S = 10.0  # stop.timeout's default; jail -R waits for it too (recorded)
_POLL_S = 0.01
_SIGTERM = 15


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run jail.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status.

    Raises:
        Failure: With jail(8)'s words and status.
    """
    found, words = options.parse("jail", "cde:f:hiJ:lmn:pqrRs:u:U:v", arguments, _USAGE)
    letters = dict(found)
    if not letters.keys() & {"c", "m", "r", "R"}:
        raise Failure(*_USAGE)
    if "d" in letters:
        say("jail: the 'allow.dying' parameter and '-d' flag are deprecated and have no effect.")
    if "f" in letters:
        raise Failure(f"jail: {letters['f']}: the Linux stand-in reads no jail.conf")
    if letters.keys() & {"r", "R"} and not letters.keys() & {"c", "m"}:
        return _remove_named(settings, words)
    if not words or "=" not in words[0]:
        raise Failure(f"jail: {_DEFAULT_CONF}: No such file or directory")
    return _set(settings, letters, words)


def _set(settings: "Settings", letters: dict[str, str], words: list[str]) -> int:
    from jail_linux import creation  # ctypes is not needed to remove a jail

    wanted = wishes.read(words)
    key = str(wanted.jid) if wanted.jid is not None else wanted.name
    with Registry(settings, exclusive=False) as registry:
        old = registry.named(key) if key else None
    is_there = old is not None and not old.dying
    if "r" in letters and key and is_there:
        _remove_named(settings, [key])
        is_there = False
    if "m" in letters and (is_there or "c" not in letters):
        jail = creation.modify(settings, wanted)
    else:
        jail = creation.create(settings, wanted)
    if "i" in letters:
        out(f"{jail.jid}\n")
    if "J" in letters:
        _write_jid_file(letters["J"], jail, words)
    if wanted.command:
        return _run_command(settings, jail, wanted)
    return 0


def _write_jid_file(path: str, jail: Jail, words: list[str]) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write("\t".join([f"jid={jail.jid}", *words]) + "\n")


def _run_command(settings: "Settings", jail: Jail, wanted: "Wishes") -> int:
    """Run `command=` inside; if it fails the jail goes, and its status is lost, as with jail(8)."""
    from jail_linux import inside  # only for command=

    text = " ".join(wanted.command)
    child = os.fork()
    if child == 0:
        inside.run_child(settings, jail.jid, wanted.command)
    _, status = os.waitpid(child, 0)
    if status == 0:
        return 0
    if os.WIFSIGNALED(status):
        say(f"jail: {text}: exited on signal {os.WTERMSIG(status)}")
    else:
        say(f"jail: {text}: failed")
    with Registry(settings, exclusive=True) as registry:
        left = registry.get(jail.jid)
        if left is not None and not left.dying:
            lifetime.remove(registry, left)
    return 1


def _remove_named(settings: "Settings", words: list[str]) -> int:
    """Remove jails by name; the first that is missing ends the row, as recorded."""
    if words == ["*"]:
        return 0  # without a configuration file no jail is jail(8)'s own
    if not words:
        raise Failure(f"jail: {_DEFAULT_CONF}: No such file or directory")
    present: list[str] = []
    missing: list[str] = []
    with Registry(settings, exclusive=False) as registry:
        for word in words:
            if missing or registry.named(word) is None:
                missing.append(word)
            else:
                present.append(word)
    for word in reversed(present):
        _remove_one(settings, word)
        if len(words) > 1:
            out(f"{word}: removed\n")
    for word in missing:
        say(f'jail: "{word}" not found')
    return 1 if missing else 0


def _remove_one(settings: "Settings", word: str) -> None:
    with Registry(settings, exclusive=False) as registry:
        jail = registry.named(word)
    if jail is None or jail.dying:
        return
    _ask_to_stop(jail)
    with Registry(settings, exclusive=True) as registry:
        left = registry.get(jail.jid)
        if left is not None and not left.dying and left.uts == jail.uts:
            lifetime.remove(registry, left)


def _ask_to_stop(jail: Jail) -> None:
    """Send SIGTERM and wait for what is inside, up to stop.timeout."""
    if not members.signal(members.of(jail.uts), _SIGTERM):
        return
    deadline_s = uptime() + _STOP_TIMEOUT_S
    while uptime() < deadline_s and members.of(jail.uts):
        time.sleep(_POLL_S)
