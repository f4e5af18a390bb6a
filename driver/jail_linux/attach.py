"""Linux's side of mounting: bind mounts for nullfs, small trees for devfs and fdescfs."""

import ctypes
import errno
import os

from jail_linux import kernel
from jail_linux.mounttable import HIDDEN

_OPEN_TREE = 428  # these three have one number on every architecture
_MOVE_MOUNT = 429
_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_OPEN_TREE_CLONE = 1
_O_CLOEXEC = 0o2000000
_AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_ATTRIBUTES = {"ro": 1, "nosuid": 2, "noexec": 8, "noatime": 0x10, "nosymfollow": 0x200000}
_ATIME = 0x70  # the bits that noatime replaces
FLAGS = {
    "ro": kernel.MS_RDONLY,
    "nosuid": kernel.MS_NOSUID,
    "noexec": kernel.MS_NOEXEC,
    "noatime": kernel.MS_NOATIME,
    "nosymfollow": kernel.MS_NOSYMFOLLOW,
}
_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_STANDARD = ("stdin", "stdout", "stderr")
NODES = (*_DEVICES, "fd/0", "fd/1", "fd/2", *_STANDARD)
_DESCRIPTORS = 256
_EVERYONE = 0o666
_CHARACTER = 0o020000


def bind(source: str, target: str, words: set[str]) -> None:
    """Show a directory or file at a second place, without what is mounted below it.

    The view is made with its options before it appears, so a run that is killed never leaves a writable view
    that should have been read-only. It is private: what is mounted inside it stays inside it. In a user
    namespace the kernel refuses to show a directory without the mounts below it (they might hide something);
    there the view has them too.

    Args:
        source: Real path.
        target: Real path.
        words: Keys of FLAGS.

    Raises:
        OSError: As the kernel says.
    """
    try:
        _bind(source, target, words, 0)
    except OSError as problem:
        if problem.errno != errno.EINVAL:
            raise
        _bind(source, target, words, _AT_RECURSIVE)


def _bind(source: str, target: str, words: set[str], recursive: int) -> None:
    tree = kernel.syscall(
        _OPEN_TREE, _AT_FDCWD, os.fsencode(source), _OPEN_TREE_CLONE | _O_CLOEXEC | recursive
    )
    try:
        wanted = 0
        for word in words:
            wanted |= _ATTRIBUTES[word]
        clear = _ATIME if "noatime" in words else 0
        attributes = b"".join(
            number.to_bytes(8, "little") for number in (wanted, clear, kernel.MS_PRIVATE, 0)
        )
        kernel.syscall(
            _MOUNT_SETATTR,
            tree,
            b"",
            _AT_EMPTY_PATH | recursive,
            ctypes.create_string_buffer(attributes, len(attributes)),
            len(attributes),
        )
        kernel.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)


def fresh(fstype: str, source: str, target: str, words: set[str], data: str = "") -> None:
    """Mount a new file system of Linux's own.

    Args:
        fstype: Linux's name.
        source: What the mount table shall say.
        target: Real path.
        words: Keys of FLAGS.
        data: Its own options.

    Raises:
        OSError: As the kernel says.
    """
    flags = 0
    for word in words:
        flags |= FLAGS[word]
    kernel.mount(source, target, fstype, flags, data or None)


def proc(source: str, target: str, words: set[str]) -> None:
    """Mount a procfs; in a user namespace only a view of the present /proc is allowed."""
    try:
        fresh("proc", source, target, words)
    except PermissionError:
        bind("/proc", target, words)


def sys(source: str, target: str, words: set[str]) -> None:
    """Mount a sysfs; in a user namespace only a view of the present /sys is allowed."""
    try:
        fresh("sysfs", source, target, words)
    except PermissionError:
        bind("/sys", target, words)


def devices(target: str, words: set[str]) -> None:
    """Mount a small /dev: null, zero, full, random, urandom, tty, fd/0-2, std*, pts-less.

    Where device nodes cannot be made (a user namespace), the host's are shown at their places.

    Args:
        target: Real path.
        words: Keys of FLAGS.

    Raises:
        OSError: As the kernel says; nothing is left mounted then.
    """
    fresh("tmpfs", "devfs", target, words - {"ro"}, "mode=755,size=64k")
    try:
        os.mkdir(f"{target}/{HIDDEN}", 0o555)
        bind("/proc", f"{target}/{HIDDEN}", set())
        os.mkdir(f"{target}/fd", 0o555)
        for name in NODES:
            node(target, name)
    except OSError:
        detach_tree(target)
        raise


def node(target: str, name: str) -> None:
    """Make one node of a small /dev.

    Args:
        target: Its mount point.
        name: One of NODES.

    Raises:
        OSError: As the kernel says.
    """
    path = f"{target}/{name}"
    if name in _DEVICES:
        device(path, _CHARACTER | _EVERYONE, os.makedev(*_DEVICES[name]), f"/dev/{name}")
    elif name.startswith("fd/"):
        os.symlink(f"../{HIDDEN}/self/{name}", path)
    else:
        os.symlink(f"fd/{_STANDARD.index(name)}", path)


def device(path: str, mode: int, number: int, host: str) -> None:
    """Make one device file; where that is not allowed, show the host's own at its place.

    Args:
        path: Where.
        mode: Its type and permissions.
        number: Of the device.
        host: The host's device file.

    Raises:
        OSError: As the kernel says.
    """
    try:
        os.mknod(path, mode, number)
        os.chmod(path, mode & 0o7777)
    except PermissionError:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, _EVERYONE))
        bind(host, path, set())


def descriptors(target: str, words: set[str]) -> None:
    """Mount what fdescfs shows: one entry for each descriptor of whoever looks.

    Args:
        target: Real path.
        words: Keys of FLAGS.

    Raises:
        OSError: As the kernel says; nothing is left mounted then.
    """
    fresh("tmpfs", "fdescfs", target, words - {"ro"}, "mode=555,size=64k")
    try:
        os.mkdir(f"{target}/{HIDDEN}", 0o555)
        bind("/proc", f"{target}/{HIDDEN}", set())
        for number in range(_DESCRIPTORS):
            os.symlink(f"{HIDDEN}/self/fd/{number}", f"{target}/{number}")
    except OSError:
        detach_tree(target)
        raise


def detach_tree(target: str) -> None:
    """Take a mount off together with everything mounted below it, in use or not."""
    kernel.umount(target, kernel.MNT_DETACH)
