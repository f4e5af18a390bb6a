"""Users of the host, by name: hooks run as them, and commands in jails that have no accounts of their own.

To a Linux program on FreeBSD /etc is the one of its own tree, with other users; pwd(3) reads that one.
FreeBSD's is reached through a directory that only the whole system's tree has: a path that is not in the
Linux tree is looked up from the real root (vfs_lookup.c: ISRESTARTED).
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NamedTuple

from jail_driver import trees
from jail_driver.supervisor import ending

ETC = Path(trees.of_the_system("/etc") if ending.TRANSLATED else "/etc")
_PASSWD_FIELDS = 7
_GROUP_FIELDS = 4


class HostAccount(NamedTuple):
    """One line of passwd(5)."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


def find(user: str) -> HostAccount | None:
    """Returns the account of that name, None if there is none."""
    if not ending.TRANSLATED:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            return None
        return HostAccount(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)
    for fields in _lines("passwd", _PASSWD_FIELDS):
        name, _, uid, gid, _, home, shell = fields
        if name == user and uid.isdigit() and gid.isdigit():
            return HostAccount(name, int(uid), int(gid), home, shell)
    return None


def groups(account: HostAccount) -> list[int]:
    """Returns the groups that an account is a member of, its own first."""
    if not ending.TRANSLATED:
        return os.getgrouplist(account.name, account.gid)
    found = [account.gid]
    for _, _, gid, members in _lines("group", _GROUP_FIELDS):
        if account.name in members.split(",") and gid.isdigit() and int(gid) not in found:
            found.append(int(gid))
    return found


def _lines(name: str, fields: int) -> list[list[str]]:
    try:
        text = (ETC / name).read_text(errors="surrogateescape")
    except OSError:
        return []
    split = (line.split(":") for line in text.splitlines())
    return [line for line in split if len(line) == fields]
