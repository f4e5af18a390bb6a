"""Two trees of one host: to a Linux program on FreeBSD, what exists in /compat/linux comes first (linux(4)).

FreeBSD's own programs, and an agent that is one, see the whole system's tree only. A path that leads into the
Linux tree gets there by its whole name too, and one that has no counterpart there leads to the system's
(vfs_lookup.c: a look-up that fails in the emulation's root is restarted from the real one). Needs no more
than `os`: the plugin's start pays for it.
"""

from __future__ import annotations

import os

LINUX_TREE = "/compat/linux"
SYSTEM_ONLY = "/rescue/.."
"""A directory of FreeBSD's that no Linux tree has, and back from it."""


def known_to_all(path: str) -> str:
    """Returns the name by which FreeBSD's programs find the directory or file that we find under a path.

    Args:
        path: absolute; what does not exist keeps its name.
    """
    if path.startswith(f"{LINUX_TREE}/"):
        return path
    try:
        if os.path.samefile(path, f"{LINUX_TREE}{path}"):  # noqa: PTH121  # pathlib is not loaded yet
            return f"{LINUX_TREE}{path}"
    except OSError:
        pass  # no such tree, or not there
    return path


def has_a_twin(path: str) -> bool:
    """Tells whether FreeBSD's programs find something under a path where we find something else, or nothing."""
    theirs = of_the_system(path)
    try:
        return os.path.exists(theirs) and not os.path.samefile(theirs, path)  # noqa: PTH110, PTH121  # as above
    except OSError:
        return True


def of_the_system(path: str) -> str:
    """Returns the name by which a Linux program finds what FreeBSD's programs find under a path.

    >>> of_the_system("/var/run")
    '/rescue/../var/run'
    """
    return f"{SYSTEM_ONLY}{path}"
