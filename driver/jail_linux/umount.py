"""umount(8): by mount point, by source, by fsid."""

import errno
import os

from jail_linux import kernel, mounttable, options
from jail_linux.failure import Failure, error_text
from jail_linux.program import out, say
from jail_linux.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.mounttable import Mount
    from jail_linux.settings import Settings

_USAGE = [
    "usage: umount [-fNnv] special ... | node ... | fsid ...",
    "       umount -a | -A [-F fstab] [-fnv] [-h host] [-t type]",
]


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run umount.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status: 1 if any of the file systems stays.

    Raises:
        Failure: With umount's words and status.
    """
    found, words = options.parse("umount", "AaF:fh:Nnt:v", arguments, _USAGE)
    letters = dict(found)
    if not words or letters.keys() & {"A", "a", "h"}:
        raise Failure(*_USAGE)
    status = 0
    for word in words:
        mount = _find(settings, word)
        if mount is None:
            _say_why(word)
            status = 1
            continue
        try:
            _take_off(settings, mount, force="f" in letters)
        except OSError as problem:
            say(f"umount: unmount of {mount.target} failed: {error_text(problem.errno or 0)}")
            status = 1
            continue
        mounttable.forget(settings, mount.fsid)
        if "v" in letters:
            out(f"{mount.source}: unmount from {mount.target}\n")
    return status


def _find(settings: "Settings", word: str) -> "Mount | None":
    """Look a name up as umount does: fsid, mount point, source, the latest mount first; then where it leads."""
    table = mounttable.lines()
    path = word.rstrip("/") or "/"
    found = mounttable.known(settings, table, word) or mounttable.known(settings, table, path)
    if found is None:
        newest = mounttable.read(settings)[::-1]
        found = next((mount for mount in newest if mount.source == word), None)
    return found or mounttable.known(settings, table, os.path.realpath(path))


def _say_why(word: str) -> None:
    try:
        os.stat(word)
    except OSError as problem:
        say(f"umount: {word}: statfs: {error_text(problem.errno or 0)}")
        say(f"umount: {word}: unknown file system")
        return
    if os.path.isdir(word):
        say(f"umount: {word}: not a file system root directory")
    else:
        say(f"umount: {word}: unknown file system")


def _take_off(settings: "Settings", mount: "Mount", *, force: bool) -> None:
    """Unmount exactly this mount.

    Raises:
        OSError: EBUSY where a jail, a process or another mount holds it.
    """
    with Registry(settings, exclusive=True) as registry:
        from jail_linux.lifetime import sweep  # only here

        sweep(registry)
        if not force and any(_is_below(root, mount.target) for root in registry.roots()):
            raise OSError(errno.EBUSY, "")
        top = mounttable.at(mount.target)
        if top is None or top.number != mount.number:
            raise OSError(errno.EBUSY, "")  # something is mounted over it
        if force:
            kernel.umount(mount.target, kernel.MNT_DETACH)
            return
        below = mounttable.below(mounttable.lines(), mount.target)
        if below and _are_forced(settings, below):
            if _is_used(mount.target):
                raise OSError(errno.EBUSY, "")
            kernel.umount(mount.target, kernel.MNT_DETACH)
            return
        parts = _own_parts(mount, below)
        if not parts:
            kernel.umount(mount.target)
            return
        _take_off_with(mount, parts)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _are_forced(settings: "Settings", below: "list[Mount]") -> bool:
    """Whether these are all copies that the kernel forced; they cannot be taken off alone."""
    forced = mounttable.forced_below(mounttable.everything(), mounttable.noted(settings))
    return bool(forced) and all(one.number in forced for one in below)


def _is_used(target: str) -> bool:
    """Whether a process has its root or working directory here; lazy unmounting would not notice."""
    for name in os.listdir("/proc"):
        for link in ("cwd", "root") if name.isdigit() else ():
            try:
                if _is_below(os.readlink(f"/proc/{name}/{link}"), target):
                    return True
            except OSError:
                continue
    return False


def _own_parts(mount: "Mount", below: "list[Mount]") -> "list[Mount]":
    """What a stand-in made below this mount as a part of it: not mounts that anybody asked for."""
    devices = {one.target for one in (mount, *below) if one.fstype == "devfs"}
    return [one for one in below if mounttable.is_hidden(one, devices)]


def _take_off_with(mount: "Mount", parts: "list[Mount]") -> None:
    """Unmount a devfs or fdescfs: its parts first, so that the kernel says whether the rest is in use."""
    from jail_linux import attach  # only for these

    gone: list[tuple[str, str]] = []
    try:
        for part in reversed(parts):
            kernel.umount(part.target)
            gone.append(("/proc" if part.kind == "proc" else "/dev" + part.inner, part.target))
        kernel.umount(mount.target)
    except OSError:
        for source, target in reversed(gone):
            attach.bind(source, target, set())
        raise
