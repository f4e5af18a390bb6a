"""Who main runs as: Nomad's ``user`` and ``Exec_jail_user``, looked up in passwd(5) texts.

jexec(8) takes names only, from the jail's passwd (``-U``) or the host's (``-u``): a numeric user is
looked up and becomes a name, and groups are always those of the passwd entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from jail_driver.config.read import whole
from jail_driver.errors import ConfigError

_FIELDS = 7


@dataclass(frozen=True, slots=True)
class Login:
    """One entry of passwd(5).

    Args:
        name: login name.
        uid: numeric user.
        gid: numeric primary group.
        home: home directory, inside the jail.
        shell: login shell; may be empty.
        from_host: found in the host's file, not in the jail's.
    """

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    from_host: bool = False


ROOT = Login("root", 0, 0, "/root", "/bin/sh", from_host=True)
"""root needs no entry: commands inside start as root anyway."""


def parse_passwd(text: str, *, from_host: bool) -> tuple[Login, ...]:
    """Reads a passwd(5) file; lines that are no entries (comments, NIS) are skipped."""
    logins = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) < _FIELDS or line.startswith(("#", "+", "-")):
            continue
        uid, gid = whole(fields[2]), whole(fields[3])
        if uid is not None and gid is not None:
            logins.append(Login(fields[0], uid, gid, fields[5] or "/", fields[6], from_host))
    return tuple(logins)


def choose(nomad_user: str, jail_user: str | None) -> str:
    """Returns the user to look up, from Nomad's ``user`` and ``Exec_jail_user``; empty means root.

    Raises:
        ConfigError: both are given and differ.
    """
    if nomad_user and jail_user and nomad_user != jail_user:
        raise ConfigError(
            f'Exec_jail_user = "{jail_user}": the task has user = "{nomad_user}" as well; keep one of them'
        )
    return jail_user or nomad_user


def find_login(wanted: str, jail_passwd: str, host_passwd: str, *, host_only: bool = False) -> Login:
    """Looks a user up: in the jail's file first, then in the host's.

    Args:
        wanted: ``name``, ``uid``, ``name:gid`` or ``uid:gid``; empty means root.
        jail_passwd: text of /etc/passwd inside the jail's root; empty if there is none.
        host_passwd: text of the host's.
        host_only: look only there (Exec_system_jail_user).

    Raises:
        ConfigError: no such user, or a group that its entry does not have.
    """
    name, colon, group = wanted.partition(":")
    jail = () if host_only else parse_passwd(jail_passwd, from_host=False)
    logins = (*jail, *parse_passwd(host_passwd, from_host=True))
    login = _find(name, logins)
    if login is None:
        where = "on the host" if host_only else "in the jail's or the host's /etc/passwd"
        raise ConfigError(
            f'user = "{wanted}": there is no such user {where}; add the user there or name another one'
        )
    if colon and whole(group) != login.gid:
        raise ConfigError(
            f'user = "{wanted}": {login.name} has the group {login.gid}, and jexec(8) takes groups from '
            "/etc/passwd alone; leave the group out"
        )
    return login


def _find(name: str, logins: tuple[Login, ...]) -> Login | None:
    """Returns the entry of a name, else of a number; root always exists."""
    uid = whole(name)
    for login in logins:
        if login.name == name:
            return login
    if name in ("", "root") or uid == 0:
        return next((login for login in logins if login.name == "root"), ROOT)
    return next((login for login in logins if uid is not None and login.uid == uid), None)
