"""Small files, written and removed so that nobody trips over half of the work."""

import errno
import os


def write_file(path: str, text: str) -> None:
    """Replace a file so that a reader, or a kill, never sees half of it."""
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.rename(temporary, path)


def read_file(path: str) -> "str | None":
    """Read a whole small file, or None where there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def remove_file(path: str) -> None:
    """Remove a file; a missing one is fine, and what is mounted on it is taken off first."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as problem:
        if problem.errno != errno.EBUSY:
            raise
        from jail_linux import kernel  # ctypes, for the rare case

        kernel.umount(path, kernel.MNT_DETACH)
        os.unlink(path)


def empty(folder: str) -> None:
    """Remove everything below a directory that holds plain files, links and one level of directories."""
    if not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        if os.path.isdir(path) and not os.path.islink(path):
            for inner in os.listdir(path):
                remove_file(f"{path}/{inner}")
            os.rmdir(path)
        else:
            remove_file(path)
