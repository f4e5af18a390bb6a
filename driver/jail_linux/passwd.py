"""Users and groups from the text files of the current root: no NSS, whose libraries a jail's root may lack."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class User:
    """One line of passwd(5).

    Attributes:
        name: Login name.
        uid: User id.
        gid: Primary group id.
        home: Home directory.
        shell: Login shell, may be empty.
        groups: All group ids, the primary one first.
    """

    __slots__ = ("gid", "groups", "home", "name", "shell", "uid")

    def __init__(self, fields: list[str]) -> None:
        self.name = fields[0]
        self.uid = int(fields[2])
        self.gid = int(fields[3])
        self.home = fields[5]
        self.shell = fields[6]
        self.groups = [self.gid]


_PASSWD_FIELDS = 7
_GROUP_FIELDS = 4


def _rows(path: str, count: int) -> "Iterator[list[str]]":
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            for line in stream:
                fields = line.rstrip("\n").split(":")
                if len(fields) == count and not line.startswith("#"):
                    yield fields
    except FileNotFoundError:
        return


def by_name(name: str) -> "User | None":
    """Find a user by login name; a number is no name, as with getpwnam(3).

    Args:
        name: The login name.

    Returns:
        The user with its groups, or None.
    """
    for fields in _rows("/etc/passwd", _PASSWD_FIELDS):
        if fields[0] == name:
            user = User(fields)
            for group in _rows("/etc/group", _GROUP_FIELDS):
                if name in group[3].split(",") and int(group[2]) not in user.groups:
                    user.groups.append(int(group[2]))
            return user
    return None


def by_id(uid: int) -> "User | None":
    """Find a user by id, the first in the file."""
    for fields in _rows("/etc/passwd", _PASSWD_FIELDS):
        if fields[2] == str(uid):
            return by_name(fields[0])
    return None


def become(user: User) -> None:
    """Give this process the groups and ids of a user.

    Inside a user namespace of one user, setgroups(2) is forbidden and there is no other user; being root
    there is all that can be kept, so a forbidden setgroups is passed over for uid 0.

    Args:
        user: Whom to become.

    Raises:
        OSError: As the kernel says.
    """
    try:
        os.setgroups(user.groups)
    except PermissionError:
        if user.uid != 0:
            raise
    os.setgid(user.gid)
    os.setuid(user.uid)
