"""What the system itself says: processes, mounts, jails. Never the driver's own records."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def eventually(what: str, look: Callable[[], T | None], timeout_s: float = 30.0, every_s: float = 0.05) -> T:
    """Looks until there is something to see.

    Raises:
        AssertionError: nothing within ``timeout_s``; the text says what was awaited.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what} (last seen: {seen!r})")
        time.sleep(every_s)


def eventually_equal(what: str, look: Callable[[], T], wanted: T, timeout_s: float = 15.0) -> None:
    """Looks until two things are equal.

    Raises:
        AssertionError: with both of them.
    """
    deadline = time.monotonic() + timeout_s
    while (seen := look()) != wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}, within {timeout_s} s:\n{seen}\nis not\n{wanted}")
        time.sleep(0.1)


def pids() -> list[int]:
    """The pids of all processes."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def processes() -> list[tuple[int, int, str]]:
    """Each process as (pid, parent's pid, command line with blanks); one that ends meanwhile is left out."""
    found = []
    for pid in pids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found.append((pid, int(stat.rpartition(")")[2].split()[1]), argv.strip()))
    return found


def fork_helpers() -> set[int]:
    """The plugins' own fork helpers, each its plugin's child and gone with it; supervisors are their children."""
    seen = processes()
    plugins = {pid for pid, _parent, argv in seen if argv.endswith("-m jail_driver")}
    return {pid for pid, parent, argv in seen if parent in plugins and "fork_helper" in argv}


def started_ticks(pid: int) -> int:
    """A process's start time in clock ticks since boot (proc(5), stat, field 22): with the pid, its identity."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def rooted_below(directory: Path) -> set[int]:
    """The pids of processes whose root lies below a directory: the jailed ones."""
    found = set()
    for pid in pids():
        try:
            root = Path(f"/proc/{pid}/root").readlink()
        except OSError:
            continue
        if directory in root.parents:
            found.add(pid)
    return found


def mounts_below(directory: Path) -> list[str]:
    """Mount points below a directory, in mount order (proc(5), mountinfo field 5)."""
    # Not splitlines: a mount point may hold what Python takes for the end of a line and the kernel does not.
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").split("\n")
    targets = [line.split(" ")[4].replace("\\040", " ") for line in lines if line]
    return [target for target in targets if target.startswith(f"{directory}/")]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a task can leave behind.

    Args:
        mounts: mount points below the state directory; the stand-ins' jails are among them.
        network: addresses, routes and interface names of the host.
        processes: pid and command line of all that runs in the host's network or below a jail's root.
        jails: what jls(8) prints, the dying ones too.
        rules: what rctl(8) prints.
        files: the driver's sockets and task directories.
    """

    mounts: frozenset[str]
    network: frozenset[str]
    processes: frozenset[tuple[int, str]]
    jails: str
    rules: str
    files: frozenset[str]
