"""Finding a program inside a root from outside, with symbolic links kept inside that root.

jexec's own failure is a plain status 1, the same as a program that fails: so a missing program is found
before anything runs.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MAX_LINKS = 40


def resolve_inside(root: Path, path: str) -> Path | None:
    """Return the host path that ``path`` means to a process whose root is ``root``; None if it is nothing.

    Absolute links start at ``root`` again, and ``..`` never leaves it (as chroot(2) has it).
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    parts.reverse()
    done: list[str] = []
    links = 0
    while parts:
        part = parts.pop()
        if part == "..":
            del done[-1:]
            continue
        here = root.joinpath(*done, part)
        try:
            found = here.lstat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISLNK(found.st_mode):
            done.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return None
        link = os.readlink(here)  # noqa: PTH115  # a text is wanted, not a path that forgets its slashes
        if link.startswith("/"):
            done.clear()
        parts.extend(reversed([piece for piece in link.split("/") if piece not in ("", ".")]))
    return root.joinpath(*done)


def find_program(root: Path, program: str, search: str) -> Path | None:
    """Return the host path of a program inside ``root``, by name through ``search`` (a PATH) or by path.

    Only a regular file with an execute bit counts. A relative path with a slash starts at ``/``, the
    working directory of commands inside.
    """
    candidates = (
        [program] if "/" in program else [f"{place}/{program}" for place in search.split(":") if place]
    )
    for candidate in candidates:
        found = resolve_inside(root, candidate)
        if found is None:
            continue
        mode = found.stat().st_mode
        if stat.S_ISREG(mode) and mode & 0o111:
            return found
    return None
