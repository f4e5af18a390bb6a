"""pkill(1): signal processes by jail, name, user or parent; pgrep(1) lists them."""

import os

from jail_linux import members, options
from jail_linux.failure import Failure
from jail_linux.program import out, say
from jail_linux.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_MATCH, _NO_MATCH, _BAD_USAGE = 0, 1, 2
_SIGTERM = 15
_NAMES = [
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
    "STKFLT",
    "CHLD",
    "CONT",
    "STOP",
    "TSTP",
    "TTIN",
    "TTOU",
    "URG",
    "XCPU",
    "XFSZ",
    "VTALRM",
    "PROF",
    "WINCH",
    "IO",
    "PWR",
    "SYS",
]
SIGNALS = {name: number for number, name in enumerate(_NAMES, 1)}
_LETTERS = "fij:lnoP:qU:vx"


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run pkill.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name; the first may be -SIGNAL.

    Returns:
        0 if a process was signalled, 1 if none matched.

    Raises:
        Failure: With pkill's words, status 2.
    """
    number = _SIGTERM
    if arguments and arguments[0].startswith("-") and (found := _signal(arguments[0][1:])) is not None:
        number = found
        arguments = arguments[1:]
    processes = select(settings, "pkill", arguments)[0]
    signalled = 0
    for process in processes:
        try:
            os.kill(process, number)
            signalled += 1
        except ProcessLookupError:
            continue
        except PermissionError:
            say(f"pkill: signalling pid {process}: Operation not permitted")
    return _MATCH if signalled else _NO_MATCH


def _signal(text: str) -> "int | None":
    if text.isdigit():
        return int(text)
    return SIGNALS.get(text.upper().removeprefix("SIG"))


def select(settings: "Settings", command: str, arguments: list[str]) -> tuple[list[int], dict[str, str]]:
    """Find the processes that all given criteria match.

    Args:
        settings: Of the tools directory.
        command: pkill or pgrep.
        arguments: Options and patterns.

    Returns:
        Process ids in rising order, and the options.

    Raises:
        Failure: Bad usage, status 2.
    """
    usage = [
        f"usage: {command} [-{'signal' if command == 'pkill' else 'lqvx'}] [-j jail] [-U uid] [-P ppid] [pattern ...]"
    ]
    try:
        found, patterns = options.parse(command, _LETTERS, arguments, usage)
    except Failure as failure:
        raise Failure(*failure.lines, status=_BAD_USAGE) from None
    letters = dict(found)
    if not patterns and not letters.keys() & {"j", "U", "P"}:
        raise Failure(*usage, status=_BAD_USAGE)
    chosen = _of_jails(settings, command, letters["j"]) if "j" in letters else _all()
    kept = [
        process
        for process in sorted(chosen)
        if process != os.getpid() and _matches(process, letters, patterns) != ("v" in letters)
    ]
    if "n" in letters:
        kept = kept[-1:]
    if "o" in letters:
        kept = kept[:1]
    return kept, letters


def _all() -> list[int]:
    return [process for inside in members.by_namespace().values() for process in inside]


def _of_jails(settings: "Settings", command: str, text: str) -> list[int]:
    """Processes of the named jails; `none` means the host, `any` any jail. A dying jail is no jail any more."""
    inside = members.by_namespace()
    with Registry(settings, exclusive=False) as registry:
        jails = registry.all()
        spaces: set[int] = set()
        for key in text.split(","):
            if key in {"any", "none"}:
                all_spaces = {jail.uts for jail in jails}
                spaces |= all_spaces if key == "any" else set(inside) - all_spaces
                continue
            jail = registry.named(key)
            if jail is None or (jail.dying and not key.isdigit()):
                raise Failure(f"{command}: Invalid jail ID or name `{key}'", status=_BAD_USAGE)
            spaces.add(jail.uts)
    return [process for space in spaces for process in inside.get(space, [])]


def _matches(process: int, letters: dict[str, str], patterns: list[str]) -> bool:
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as stream:
            stat = stream.read()
        if "P" in letters and stat.rpartition(")")[2].split()[1] not in letters["P"].split(","):
            return False
        if "U" in letters and str(os.stat(f"/proc/{process}").st_uid) not in letters["U"].split(","):
            return False
        if not patterns:
            return True
        text = stat[stat.index("(") + 1 : stat.rindex(")")]
        if "f" in letters:
            with open(f"/proc/{process}/cmdline", encoding="utf-8", errors="replace") as stream:
                text = stream.read().rstrip("\0").replace("\0", " ") or text
    except OSError:
        return False
    import re  # patterns are rare, and re triples the start-up time

    flags = re.IGNORECASE if "i" in letters else 0
    search = re.fullmatch if "x" in letters else re.search
    return any(search(pattern, text, flags) for pattern in patterns)


def list_main(settings: "Settings", arguments: list[str]) -> int:
    """Run pgrep.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        0 if a process matched, 1 if none did.

    Raises:
        Failure: With pgrep's words, status 2.
    """
    processes, letters = select(settings, "pgrep", arguments)
    if "q" not in letters:
        out("".join(f"{process}\n" for process in processes))
    return _MATCH if processes else _NO_MATCH
