"""Mount points in a root that somebody else may be changing: nothing is ever made or removed through a link.

The root of a running jail may be shared by others whose root user changes it at any instant. So each
component is opened by its name in the directory above, never followed if it is a symbolic link (open(2),
O_NOFOLLOW), and made or removed there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jail_driver.errors import ConfigError, HostError

_DIRECTORY_MODE = 0o755
_FILE_MODE = 0o644
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def parts_of(inside: str) -> tuple[str, ...]:
    """Return the components of a place inside a root.

    Raises:
        ConfigError: it would leave the root.
    """
    parts = tuple(part for part in inside.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ConfigError(f"{inside}: a mount point inside the jail must not hold '..'")
    return parts


def safe_target(root: Path, inside: str) -> Path:
    """Return the host path of a mount point, refusing symbolic links on the way.

    Raises:
        HostError: a component is a symbolic link.
    """
    path = root
    for part in parts_of(inside):
        path /= part
        if path.is_symlink():
            raise HostError(
                f"mount {inside}", f"{path} is a symbolic link; a mount point must be a directory or a file"
            )
    return path


@contextmanager
def parent_of(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """Open the directory that holds the last component.

    Raises:
        OSError: a directory is missing, or is none (a symbolic link counts as none).
    """
    here = os.open(root, _OPEN)
    try:
        for part in parts[:-1]:
            below = os.open(part, _OPEN, dir_fd=here)
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def make(root: Path, inside: str, *, file: bool) -> None:
    """Make one directory or empty file; one that is there already is fine.

    Raises:
        OSError: the file system refused, or a directory above is a link by now.
    """
    parts = parts_of(inside)
    with parent_of(root, parts) as above:
        try:
            if file:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(parts[-1], flags, _FILE_MODE, dir_fd=above))
            else:
                os.mkdir(parts[-1], _DIRECTORY_MODE, dir_fd=above)
        except FileExistsError:
            pass


def remove_empty(root: Path, inside: str) -> None:
    """Remove one empty directory or empty file; one that is gone is fine, anything else is left alone.

    Raises:
        OSError: it is not empty, or it is busy.
    """
    parts = parts_of(inside)
    try:
        with parent_of(root, parts) as above:
            found = os.stat(parts[-1], dir_fd=above, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                os.rmdir(parts[-1], dir_fd=above)
            elif stat.S_ISREG(found.st_mode) and found.st_size == 0:
                os.unlink(parts[-1], dir_fd=above)
    except (FileNotFoundError, NotADirectoryError):
        return


def is_empty_directory(path: Path) -> bool:
    """Whether a path is a directory with nothing in it; a link or a missing one is not."""
    try:
        descriptor = os.open(path, _OPEN)
    except OSError:
        return False
    try:
        with os.scandir(descriptor) as entries:
            return next(entries, None) is None
    finally:
        os.close(descriptor)
