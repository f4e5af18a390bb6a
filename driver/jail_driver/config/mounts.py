"""Mounts that a job asks for as fstab(5) lines: the ``Mount`` key and the file of ``Mount_fstab``."""

from __future__ import annotations

import re
from typing import Any

from jail_driver.config import read
from jail_driver.config.kinds import Problems
from jail_driver.config.model import FstabMount

_BLANKS = re.compile(r"[ \t]+")
_ESCAPE = re.compile(r"\\([0-7]{3}|[\\s#abfnrtv])", re.ASCII)
_LETTERS = {
    "\\": "\\",
    "s": " ",
    "#": "#",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,32}\Z", re.ASCII)
_FIELDS = 3
_MAX_LINE = 8192
_FORM = 'write "source target type options", as "/data /mnt nullfs ro"; blanks inside a name as \\040'


def read_mounts(key: str, value: Any, path: str | None, problems: Problems) -> tuple[FstabMount, ...]:
    """Reads fstab(5) lines.

    Args:
        key: the job's key.
        value: one line or a list of lines.
        path: the job's ``Path``: a target below it is taken from there on.
        problems: where to note what is wrong.
    """
    lines = read.texts(key, value, problems, max_bytes=_MAX_LINE)
    for line in lines:
        if "\n" in line:
            problems.add(key, line, "has several lines", "write a list with one line for each mount")
    found = (_read_line(key, line, path, problems) for line in lines if "\n" not in line)
    return tuple(mount for mount in found if mount is not None)


def read_fstab(name: str, text: str, path: str | None, problems: Problems) -> tuple[FstabMount, ...]:
    """Reads the text of a whole fstab(5) file; comments and empty lines are skipped.

    Args:
        name: of the file, for problems.
        text: its content.
        path: the job's ``Path``.
        problems: where to note what is wrong.
    """
    found = (_read_line(name, line, path, problems) for line in text.split("\n"))
    return tuple(mount for mount in found if mount is not None)


def _read_line(key: str, line: str, path: str | None, problems: Problems) -> FstabMount | None:
    fields = [field for field in _BLANKS.split(line.strip(" \t")) if field]
    if not fields or fields[0].startswith("#"):
        return None
    if len(fields) < _FIELDS:
        problems.add(key, line, "lacks a field", _FORM)
        return None
    source, target, fstype, *rest = (decode(field) for field in fields)
    options = tuple(option for option in (rest[0].split(",") if rest else ()) if option)
    inside = target_inside(target, path)
    if any("\0" in field for field in (source, target, fstype, *options)):
        problems.add(key, line, "holds a NUL character", "remove it")
    elif inside is None:
        problems.add(
            key,
            line,
            f"the target {target!r} is no place inside the jail",
            'write an absolute path without ".."',
        )
    elif not _WORD.match(fstype) or fstype.startswith("-"):
        problems.add(key, line, f"{fstype!r} is no file system type", _FORM)
    elif source.startswith("-") or any(_bad_option(option) for option in options):
        problems.add(key, line, "a field would be taken for something else by mount(8)", _FORM)
    else:
        return FstabMount(source, inside, fstype, tuple(o for o in options if o != "rw"))
    return None


def target_inside(target: str, path: str | None) -> str | None:
    """Returns where a target lies inside the jail, or None if it is no absolute path below the root.

    jail(8) takes host paths here. Each task's root is a view of its own, so a target below ``path`` is
    taken from there on, and every other one as seen from inside.
    """
    if path is not None and path != "/" and (target == path or target.startswith(path.rstrip("/") + "/")):
        target = target[len(path.rstrip("/")) :] or "/"
    parts = [part for part in target.split("/") if part]
    if not target.startswith("/") or not parts or any(part in {".", ".."} for part in parts):
        return None
    return "/" + "/".join(parts)


def _bad_option(option: str) -> bool:
    return option.startswith("-") or any(ord(char) < ord(" ") for char in option)


def decode(field: str) -> str:
    r"""Undoes the vis(3) escapes of an fstab(5) field; what is no escape stays as it is.

    >>> decode(r"/a\040b")
    '/a b'
    """
    return _ESCAPE.sub(lambda match: _LETTERS.get(match[1]) or chr(int(match[1], 8)), field)
