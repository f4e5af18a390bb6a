"""ps(1): processes with their jails."""

import os
import time

from jail_linux import members, options
from jail_linux.failure import Failure
from jail_linux.jsontext import quoted
from jail_linux.program import out
from jail_linux.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from jail_linux.settings import Settings

_USAGE = [
    "usage: ps [--libxo] [-AaCcdefHhjlmrSTuvwXxZ] [-O fmt | -o fmt]",
    "          [-G gid[,gid...]] [-J jid[,jid...]] [-M core] [-N system]",
    "          [-p pid[,pid...]] [-t tty[,tty...]] [-U user[,user...]]",
    "       ps [--libxo] -L",
]
_DEFAULT = ["pid", "tt", "state", "time", "command"]


class Process:
    """One process, as far as it can be read.

    Attributes:
        pid: Its id.
        stat: Fields of /proc/PID/stat after the name: state first.
        name: Its name.
        jid: Number of its jail, 0 for none.
        jail: Name of its jail, "-" for none.
        uid: Its owner.
    """

    __slots__ = ("jail", "jid", "name", "pid", "stat", "uid")
    sums_children = False

    def __init__(self, pid: int, jid: int, jail: str) -> None:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="surrogateescape") as stream:
            text = stream.read()
        self.pid = pid
        self.name = text[text.index("(") + 1 : text.rindex(")")]
        self.stat = text[text.rindex(")") + 2 :].split()
        self.uid = os.stat(f"/proc/{pid}").st_uid
        self.jid = jid
        self.jail = jail

    def command(self) -> str:
        """The argument list, or the name in brackets or as <defunct>."""
        if self.stat[0] == "Z":
            return "<defunct>"
        with open(f"/proc/{self.pid}/cmdline", encoding="utf-8", errors="surrogateescape") as stream:
            words = stream.read().rstrip("\0").replace("\0", " ")
        return words or f"[{self.name}]"

    def state(self) -> str:
        """FreeBSD's letters for the state; J marks a jailed process."""
        letter = {"t": "T", "I": "L", "X": "Z"}.get(self.stat[0], self.stat[0])
        leader = "s" if int(self.stat[3]) == self.pid else ""
        return letter + leader + ("J" if self.jid else "")

    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(self.stat[19]) / os.sysconf("SC_CLK_TCK")

    def user_s(self) -> float:
        """Seconds of processor time in user mode."""
        return int(self.stat[11]) / os.sysconf("SC_CLK_TCK")

    def system_s(self) -> float:
        """Seconds of processor time in the kernel."""
        return int(self.stat[12]) / os.sysconf("SC_CLK_TCK")

    def used_s(self) -> float:
        """Seconds of processor time; with -S those of its ended children too."""
        fields = self.stat[11:15] if Process.sums_children else self.stat[11:13]
        return sum(int(field) for field in fields) / os.sysconf("SC_CLK_TCK")

    def started(self) -> str:
        """Wall-clock time of its start, as `lstart` shows it."""
        return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(time.time() - self.age_s()))

    def owner(self) -> str:
        """Login name of its owner, or the number."""
        from jail_linux import passwd

        user = passwd.by_id(self.uid)
        return user.name if user else str(self.uid)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{seconds % 60:05.2f}"


def _elapsed(seconds: float) -> str:
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    text = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{days}-{hours:02d}:{text}" if days else f"{hours:02d}:{text}" if hours else text


# keyword: (title, libxo name, how to read it), names from bin/ps/keyword.c
_COLUMNS: "dict[str, tuple[str, str, Callable[[Process], str]]]" = {
    "pid": ("PID", "pid", lambda one: str(one.pid)),
    "ppid": ("PPID", "ppid", lambda one: one.stat[1]),
    "pgid": ("PGID", "process-group", lambda one: one.stat[2]),
    "sid": ("SID", "sid", lambda one: one.stat[3]),
    "jid": ("JID", "jail-id", lambda one: str(one.jid)),
    "jail": ("JAIL", "jail-name", lambda one: one.jail),
    "uid": ("UID", "uid", lambda one: str(one.uid)),
    "user": ("USER", "user", Process.owner),
    "state": ("STAT", "state", Process.state),
    "stat": ("STAT", "state", Process.state),
    "tt": ("TT", "terminal-name", lambda _: "-"),
    "time": ("TIME", "cpu-time", lambda one: _minutes(one.used_s())),
    "usertime": ("USERTIME", "user-time", lambda one: _minutes(one.user_s())),
    "systime": ("SYSTIME", "system-time", lambda one: _minutes(one.system_s())),
    "etime": ("ELAPSED", "elapsed-time", lambda one: _elapsed(one.age_s())),
    "etimes": ("ELAPSED", "elapsed-times", lambda one: str(int(one.age_s()))),
    "lstart": ("STARTED", "start-time", Process.started),
    "rss": ("RSS", "rss", lambda one: str(int(one.stat[21]) * os.sysconf("SC_PAGE_SIZE") // 1024)),
    "vsz": ("VSZ", "virtual-size", lambda one: str(int(one.stat[20]) // 1024)),
    "nlwp": ("NLWP", "threads", lambda one: one.stat[17]),
    "comm": ("COMMAND", "command", lambda one: one.name),
    "ucomm": ("UCOMM", "accounting-name", lambda one: one.name),
    "args": ("COMMAND", "arguments", Process.command),
    "command": ("COMMAND", "command", Process.command),
}
_LEFT = frozenset({"user", "jail", "state", "stat", "tt", "lstart", "comm", "ucomm", "args", "command"})


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run ps.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        0, or 1 if no process was asked for that exists.

    Raises:
        Failure: With ps's words, status 1.
    """
    style, arguments = options.take_libxo("ps", arguments)
    if arguments and arguments[0].isalpha():
        arguments = [f"-{arguments[0]}", *arguments[1:]]
    found, _ = options.parse("ps", "aAcdefHhJ:jlmo:O:p:rSTt:U:uvwXxZ", arguments, _USAGE)
    letters = dict(found)
    Process.sums_children = "S" in letters
    columns = _columns([value for letter, value in found if letter == "o"])
    rows = _rows(columns, _select(settings, letters))
    if style == "json":
        names = [quoted(_COLUMNS[name][1]) for name, _ in columns]
        records = (
            "{" + ",".join(f"{name}:{quoted(text)}" for name, text in zip(names, row, strict=True)) + "}"
            for row in rows
        )
        out('{"process-information": {"process": [' + ", ".join(records) + "]}}\n")
    else:
        out(_table(columns, rows))
    return 0 if rows else 1


def _rows(columns: list[tuple[str, str]], shown: list[Process]) -> list[list[str]]:
    """Read the columns of every process; one that ended meanwhile has no row."""
    rows = []
    for one in shown:
        try:
            rows.append([_COLUMNS[name][2](one) for name, _ in columns])
        except OSError:
            continue
    return rows


def _columns(wanted: list[str]) -> list[tuple[str, str]]:
    """Read -o lists; `name=TITLE` takes the rest of its argument as the title."""
    columns: list[tuple[str, str]] = []
    for text in wanted:
        names, equals, title = text.partition("=")
        parts = [part for part in names.replace(",", " ").split() if part]
        for part in parts:
            if part not in _COLUMNS:
                raise Failure(
                    f"ps: {part}: keyword not found",
                    "ps: no valid keywords; valid keywords:",
                    " ".join(_COLUMNS),
                )
            columns.append((part, _COLUMNS[part][0]))
        if equals and columns:
            columns[-1] = (columns[-1][0], title)
    return columns or [(name, _COLUMNS[name][0]) for name in _DEFAULT]


def _select(settings: "Settings", letters: dict[str, str]) -> list[Process]:
    inside = members.by_namespace()
    with Registry(settings, exclusive=False) as registry:
        jails = {jail.uts: jail for jail in registry.all()}
        wanted: set[int] | None = None
        if "J" in letters:
            wanted = set()
            for key in letters["J"].split(","):
                jail = registry.named(key)
                if jail is None and key != "0":
                    raise Failure(f"ps: Invalid jail id: {key}")
                wanted.add(jail.jid if jail else 0)
    pids = {int(part) for part in letters["p"].replace(",", " ").split()} if "p" in letters else None
    shown: list[Process] = []
    for space, processes in inside.items():
        owner = jails.get(space)
        jid = owner.jid if owner else 0
        if wanted is not None and jid not in wanted:
            continue
        for pid in processes:
            if pids is None or pid in pids:
                _append(shown, pid, jid, owner.name if owner else "-")
    return sorted(shown, key=lambda one: one.pid)


def _append(shown: list[Process], pid: int, jid: int, jail: str) -> None:
    try:
        shown.append(Process(pid, jid, jail))
    except OSError:
        pass  # it ended meanwhile


def _table(columns: list[tuple[str, str]], rows: list[list[str]]) -> str:
    if any(title for _, title in columns):
        rows = [[title for _, title in columns], *rows]
    widths = [max((len(row[index]) for row in rows), default=0) for index in range(len(columns))]
    lines = []
    for row in rows:
        cells = [
            text.ljust(width) if name in _LEFT else text.rjust(width)
            for text, width, (name, _) in zip(row, widths, columns, strict=True)
        ]
        lines.append(" ".join(cells).rstrip() + "\n")
    return "".join(lines)
