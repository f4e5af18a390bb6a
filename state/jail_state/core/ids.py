"""Names and identities. A bare pid or a bare name is never an identity."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import NewType

TaskId = NewType("TaskId", str)
JailName = NewType("JailName", str)

_HASH_DIGITS = 16
_NAME_MAX = 64


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that cannot be confused with a later one of the same pid.

    ``started_ticks`` is the start time since boot in clock ticks (field 22 of /proc/PID/stat; on FreeBSD
    ki_start minus kern.boottime), so that a stepped clock changes nothing. ``boot_id`` names the boot.
    """

    pid: int
    started_ticks: int
    boot_id: str


def task_hash(task_id: str) -> str:
    """Return the 16 hex digits that stand for a Nomad task id in file and jail names.

    >>> task_hash("a/b/c")
    '3c2d5465d85b5d13'
    """
    return hashlib.sha256(task_id.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH_DIGITS]


def jail_name(task_id: str, task_name: str) -> JailName:
    """Return the jail's name: a readable slug and the task's hash, at most 64 of ``[A-Za-z0-9_-]``.

    A dot would mean a hierarchy to jail(8), and a purely numeric name takes that jid (both recorded), so
    the slug starts with a letter and holds neither.

    >>> jail_name("a/b/c", "web.v1: blue")
    'web-v1-blue-3c2d5465d85b5d13'
    """
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", task_name).strip("-") or "task"
    if not slug[0].isalpha():
        slug = f"t-{slug}"
    room = _NAME_MAX - _HASH_DIGITS - 1
    return JailName(f"{slug[:room]}-{task_hash(task_id)}")
