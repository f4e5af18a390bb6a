"""Linux system calls that Python 3.11 has no function for, through ctypes."""

import ctypes
import os

CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, path: "str | None" = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces that CLONE_* flags name for new ones.

    Raises:
        OSError: As the kernel says.
    """
    _check(_libc.unshare(flags))


def setns(descriptor: int, kind: int = 0) -> None:
    """Enter the namespace of an open /proc/PID/ns/… file.

    Args:
        descriptor: The open file.
        kind: A CLONE_* flag that the namespace must be, 0 for any.

    Raises:
        OSError: As the kernel says.
    """
    _check(_libc.setns(descriptor, kind))


def set_hostname(name: str) -> None:
    """Set the host name of the own UTS namespace, cut to Linux's 64 bytes.

    Raises:
        OSError: As the kernel says.
    """
    data = os.fsencode(name)[:64]
    _check(_libc.sethostname(data, ctypes.c_size_t(len(data))))


def mount(source: str, target: str, fstype: "str | None", flags: int, data: "str | None" = None) -> None:
    """Attach a file system or change one, with MS_* flags.

    Raises:
        OSError: As the kernel says, with the target as its file name.
    """
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            fstype.encode() if fstype else None,
            ctypes.c_ulong(flags),
            os.fsencode(data) if data else None,
        ),
        target,
    )


def umount(target: str, flags: int = 0) -> None:
    """Take a mount off, but never through a symbolic link at its end (see umount2 in the manual).

    Raises:
        OSError: As the kernel says, with the target as its file name.
    """
    _check(_libc.umount2(os.fsencode(target), flags | UMOUNT_NOFOLLOW), target)


def syscall(number: int, *arguments: "int | bytes | ctypes.Array[ctypes.c_char]") -> int:
    """Make a system call that the C library may not know.

    Args:
        number: The call.
        arguments: Integers are passed as longs, bytes and buffers by address.

    Returns:
        What the call returns.

    Raises:
        OSError: As the kernel says.
    """
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *words))
