"""One cgroup a jail and controller, of version 1 or 2, whichever this machine lets us write.

A jail's folder holds the file `cgroups`: one line for each cgroup that was made for it, noted before it is
made, so that none outlives the jail.
"""

import binascii
import os

from jail_linux.files import read_file
from jail_linux.registry import Jail, Registry

_V2 = "cgroup2"


def _places() -> dict[str, tuple[str, int]]:
    """Where each controller is: its mount point, and the version."""
    found: dict[str, tuple[str, int]] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        lines = [line.split() for line in stream]
    for fields in lines:
        tail = fields.index("-")
        kind, target = fields[tail + 1], fields[4]
        if kind == "cgroup":
            for word in fields[tail + 3].split(","):
                found[word] = (target, 1)
        elif kind == _V2:
            for word in (read_file(f"{target}/cgroup.controllers") or "").split():
                found[word] = (target, 2)
    return found


def _folder(registry: Registry, jail: Jail, place: str) -> str:
    return f"{place}/{_mark(registry)}.{jail.jid}"


def _mark(registry: Registry) -> str:
    return f"jail_linux.{binascii.crc32(os.fsencode(registry.root)):08x}"


def _listed(registry: Registry, jail: Jail) -> list[tuple[str, int, str]]:
    text = read_file(f"{registry.folder(jail.jid)}/cgroups") or ""
    rows = [line.split(" ", 2) for line in text.splitlines()]
    return [(row[0], int(row[1]), row[2]) for row in rows]


def is_used(registry: Registry, jail: Jail, controller: str) -> bool:
    """Whether a jail has a cgroup of a controller."""
    return any(name == controller for name, _, _ in _listed(registry, jail))


def configure(registry: Registry, jail: Jail, controller: str, values: list[tuple[str, str]]) -> None:
    """Make a jail's cgroup, if this machine has the controller, and set its limits.

    Args:
        registry: Held, shared is enough.
        jail: The jail.
        controller: pids, memory or cpu.
        values: File and value; each may be `version 2|version 1`. A file that is not there is passed over.
    """
    rows = [row for row in _listed(registry, jail) if row[0] == controller]
    if not rows:
        place = _places().get(controller)
        if place is None:
            return
        mount, version = place
        folder = _folder(registry, jail, mount)
        note = f"{controller} {version} {folder}\n"
        with open(f"{registry.folder(jail.jid)}/cgroups", "a", encoding="utf-8") as stream:
            stream.write(note)
        rows = [(controller, version, folder)]
    for _, version, folder in rows:
        # A run that was killed may have noted a cgroup without making it.
        if not os.path.isdir(folder) and not _make(os.path.dirname(folder), folder, controller, version):
            continue
        for files, texts in values:
            name, text = _pick(files, version), _pick(texts, version)
            _write(
                f"{folder}/{name}", "-1" if text == "max" and version == 1 and name != "pids.max" else text
            )


def _pick(text: str, version: int) -> str:
    new, bar, old = text.partition("|")
    return old if bar and version == 1 else new


def _make(mount: str, folder: str, controller: str, version: int) -> bool:
    if version == 2:  # noqa: PLR2004  # the version of the interface
        _write(f"{mount}/cgroup.subtree_control", f"+{controller}")
    try:
        os.mkdir(folder, 0o755)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


def _write(path: str, text: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(descriptor, text.encode())
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def join(registry: Registry, jail: Jail, processes: list[int]) -> None:
    """Move processes into a jail's cgroups; those that are gone by now are fine.

    Args:
        registry: Held, shared is enough.
        jail: The jail.
        processes: Their ids.
    """
    for folder in {folder for _, _, folder in _listed(registry, jail)}:
        for process in processes:
            _write(f"{folder}/cgroup.procs", str(process))


def jail_of(registry: Registry, path: str) -> "Jail | None":
    """Find the jail that a cgroup was made for.

    Args:
        registry: Held, shared is enough.
        path: The cgroup's path within its hierarchy, as the kernel's messages have it.
    """
    _, mark, number = path.rpartition("/")[2].partition(f"{_mark(registry)}.")
    return registry.get(int(number)) if mark and number.isdigit() else None


def has(controller: str, version: "int | None" = None) -> bool:
    """Whether a jail can get a cgroup of a controller here, of any version or of this one."""
    place = _places().get(controller)
    return place is not None and os.access(place[0], os.W_OK) and version in {None, place[1]}


def remove(registry: Registry, jail: Jail) -> None:
    """Remove a jail's cgroups; a cgroup that still has a process stays, which the jail then does too.

    Raises:
        OSError: EBUSY where a process is left.
    """
    for _, _, folder in _listed(registry, jail):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
