"""Environment and user of what runs inside: set exactly, never in an argument list.

``jexec JAIL cmd`` keeps the environment as it is. ``jexec -U USER`` and ``-u USER`` set the user's login
class, which overwrites PATH HOME USER SHELL MAIL LANG MM_CHARSET BLOCKSIZE (recorded): those travel under
other names and are put back inside, by the jail's own /bin/sh, just before the exec.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jail_driver.engine.lookup import find_program, resolve_inside
from jail_driver.errors import ConfigError
from jail_driver.host import accounts

BASE_PATH = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
_OVERWRITTEN = ("PATH", "HOME", "USER", "SHELL", "MAIL", "LANG", "MM_CHARSET", "BLOCKSIZE")
_CARRIER = "JAIL_TASK_DRIVER_"
_BUILT_IN = frozenset(
    {".", ":", "cd", "eval", "exec", "exit", "export", "set", "trap", "ulimit", "umask", "unset"}
)
"""What sh(1) does itself and people write first in a command."""
_FOR_THE_LINKER = re.compile(r"LD_[A-Za-z0-9_]*")
_PASSWD_FIELDS = 7
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.]")
"""Nomad makes some of its variables' names valid so (helper.CleanEnvVar)."""


@dataclass(frozen=True, slots=True)
class Account:
    """One line of a passwd(5) file."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


ROOT = Account("root", 0, 0, "/root", "/bin/sh")


def parse_passwd(text: str) -> tuple[Account, ...]:
    """Return the accounts of a passwd(5) text, in order; lines that are none are passed over."""
    found = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == _PASSWD_FIELDS and fields[2].isdigit() and fields[3].isdigit():
            found.append(Account(fields[0], int(fields[2]), int(fields[3]), fields[5], fields[6]))
    return tuple(found)


def _read_passwd(path: Path | None) -> tuple[Account, ...]:
    try:
        return parse_passwd(path.read_text(errors="surrogateescape")) if path else ()
    except OSError:
        return ()


@dataclass(frozen=True, slots=True)
class RunAs:
    """Who runs inside, and how jexec(8) is told: ``flag`` is "", "-U" (the jail's users) or "-u"."""

    account: Account
    flag: str


def choose_user(user: str, root: Path, *, on_host: bool) -> RunAs:
    """Find the account that Nomad's ``user`` (name, uid or uid:gid) names.

    jexec(8) takes names alone, so a number is looked up. The jail's passwd counts first, then the host's: a
    root without accounts can still run its program as somebody else than root.

    Raises:
        ConfigError: no such account, or a gid that is not the account's.
    """
    if user in ("", "root", "0", "0:0"):
        return RunAs(ROOT, "")
    name, _, gid = user.partition(":")
    jail = () if on_host else _read_passwd(resolve_inside(root, "/etc/passwd"))
    for known, flag in ((jail, "-U"), (_read_passwd(accounts.ETC / "passwd"), "-u")):
        for account in known:
            if name not in (account.name, str(account.uid)):
                continue
            if gid and gid != str(account.gid):
                raise ConfigError(
                    f'user = "{user}": {account.name} has gid {account.gid} in passwd, and jexec(8) takes no'
                    f' other; write "{name}"'
                )
            return RunAs(ROOT if account.uid == 0 else account, "" if account.uid == 0 else flag)
    where = "on the host" if on_host else "in the jail's /etc/passwd, nor on the host"
    raise ConfigError(f'user = "{user}": no such user {where}; add the account or name another')


def main_env(env: Mapping[str, str], account: Account) -> dict[str, str]:
    """Return what main sees: our base, overlaid by Nomad's, exactly."""
    return {
        "PATH": BASE_PATH,
        "HOME": account.home or "/",
        "USER": account.name,
        "SHELL": account.shell or "/bin/sh",
    } | dict(env)


def with_fib(argv: Sequence[str], setfib: str, fib: int | None) -> list[str]:
    """Return a command behind setfib(1), which sets its routing table and executes it in place.

    It stands in front of jexec(8), so that the jail needs no setfib of its own; the table is inherited.
    """
    return list(argv) if fib is None else [setfib, f"-F{fib}", *argv]


def network_env(env: Mapping[str, str], ip: str, ports: Mapping[str, int]) -> dict[str, str]:
    """Return Nomad's variables of the task's ports for a task that has an address of its own.

    Nomad names the node's address (client/taskenv/env.go), where such a task does not listen: nothing maps
    the node's port to the jail. Every variable then tells where the task is reached: its own address, and
    the port that it listens on. The variables of other tasks' ports stay as they are.
    """
    found = dict(env)
    for label, port in ports.items() if ip else ():
        values = {
            "NOMAD_IP_": ip,
            "NOMAD_HOST_IP_": ip,
            "NOMAD_ADDR_": f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}",
            "NOMAD_PORT_": str(port),
            "NOMAD_HOST_PORT_": str(port),
        }
        values["NOMAD_HOST_ADDR_"] = values["NOMAD_ADDR_"]
        for name in {label, _NOT_IN_NAMES.sub("_", label)}:
            found |= {prefix + name: value for prefix, value in values.items() if prefix + name in env}
    return found


def inside_command(
    jexec: str,
    jid: int,
    run_as: RunAs,
    argv: Sequence[str],
    env: Mapping[str, str],
    root: Path,
    *,
    work_dir: str = "",
) -> tuple[list[str], dict[str, str]]:
    """Return the argument list and environment that run a command inside a jail.

    Args:
        jexec: the command.
        jid: of the jail.
        run_as: who it runs as.
        argv: the command inside.
        env: exactly what it shall see.
        root: the jail's root on the host.
        work_dir: where it starts, inside; jexec(8) itself only knows ``/``.

    Raises:
        ConfigError: the program or the directory is not in the jail, or the jail lacks a shell that is needed
            to set a user's environment or a directory.
    """
    program = argv[0]
    if work_dir and "/" in program and not program.startswith("/"):
        program = f"{work_dir}/{program}"
    _check_inside(root, work_dir, run_as, env)
    if find_program(root, program, env.get("PATH", BASE_PATH)) is None:
        raise ConfigError(f'Exec_start = "{program}": {_why_missing(program, env)}')
    if work_dir:
        argv = ["/bin/sh", "-c", 'cd -- "$1" && shift && exec "$@"', "sh", work_dir, *argv]
    hidden = _hidden(env, run_as)
    if not hidden:
        return [jexec, str(jid), *argv], dict(env)
    carried = {name: value for name, value in env.items() if name not in hidden}
    script = []
    for name in hidden:
        if name in env:
            carried[_CARRIER + name] = env[name]
            script.append(f'{name}="${_CARRIER}{name}"; export {name}; unset {_CARRIER}{name};')
        else:
            script.append(f"unset {name};")
    restore = " ".join([*script, 'exec "$@"'])
    head = [jexec, *([run_as.flag, run_as.account.name] if run_as.flag else []), str(jid)]
    return [*head, "/bin/sh", "-c", restore, "sh", *argv], carried


def _why_missing(program: str, env: Mapping[str, str]) -> str:
    if "/" in program:
        return "no such program in the jail"
    if program in _BUILT_IN:
        return (
            "is built into sh(1), no program; as in jail(8) only text with a shell character goes to a shell: "
            'end it with ";"'
        )
    return f"not found in the jail's PATH {env.get('PATH', BASE_PATH)}"


def _hidden(env: Mapping[str, str], run_as: RunAs) -> tuple[str, ...]:
    """Return the variables that travel under other names and get their own only inside the jail.

    jexec(8) runs on the host, as root: what a job says to the dynamic linker (rtld(1)) must not reach it.
    """
    linker = (name for name in env if _FOR_THE_LINKER.fullmatch(name))
    return (*(_OVERWRITTEN if run_as.flag else ()), *sorted(linker))


def _check_inside(root: Path, work_dir: str, run_as: RunAs, env: Mapping[str, str]) -> None:
    """Refuse what a shell inside is needed for, where there is none, and a directory that is not there."""
    has_shell = find_program(root, "/bin/sh", "") is not None
    linker = [name for name in _hidden(env, run_as) if name not in _OVERWRITTEN]
    if linker and not has_shell:
        raise ConfigError(
            f"env {', '.join(linker)}: the jail has no /bin/sh, which is needed to keep it from the host's own"
            " programs; leave it out or add a shell"
        )
    if run_as.flag and not has_shell:
        raise ConfigError(
            f'user = "{run_as.account.name}": the jail has no /bin/sh, which is needed to set a user\'s'
            " environment exactly; run as root or add a shell"
        )
    if not work_dir:
        return
    if not has_shell:
        raise ConfigError(
            f'Work_dir = "{work_dir}": the jail has no /bin/sh, which is needed to change the directory; add a'
            " shell or leave the key out"
        )
    place = resolve_inside(root, work_dir)
    if place is None or not place.is_dir():
        raise ConfigError(f'Work_dir = "{work_dir}": no such directory in the jail')
