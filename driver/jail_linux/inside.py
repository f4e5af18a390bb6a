"""Entering a jail: what jail_attach(2) does, and the limits that go with it."""

import _signal  # type: ignore[import-not-found]  # `signal` imports enum
import errno
import os

from jail_linux import kernel
from jail_linux.failure import Failure, error_text
from jail_linux.program import say
from jail_linux.registry import Jail, Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_SIGPIPE = 13
_SIGXFSZ = 25
_SHELL = "/bin/sh"
_DEFAULT_PATH = "/usr/bin:/bin"


def enter(settings: "Settings", command: str, key: str) -> Jail:
    """Put this process into a jail: its namespaces, its limits, its root.

    The registry stays locked until the process is a member, so a removal either sees it or is seen by it.

    Args:
        settings: Of the tools directory.
        command: Name for messages.
        key: Name or number of the jail.

    Returns:
        The jail.

    Raises:
        Failure: No such jail, or it is dying; status 1.
    """
    with Registry(settings, exclusive=False) as registry:
        jail = registry.named(key)
        label = key if key.isdigit() else f'"{key}"'
        if jail is None:
            raise Failure(f"{command}: jail {label} not found")
        if jail.dying:
            raise Failure(f"{command}: jail {label} is dying")
        limits = _join(registry, jail)
        for kind in ("uts", "net") if jail.net else ("uts",):
            descriptor = os.open(f"{registry.folder(jail.jid)}/{kind}", os.O_RDONLY)
            kernel.setns(descriptor)
            os.close(descriptor)
    try:
        os.chroot(jail.path)
    except OSError as problem:
        raise Failure(f"{command}: jail_attach({jail.jid}): {error_text(problem.errno or 0)}") from None
    os.chdir("/")
    if limits:
        from jail_linux.limits import apply  # in the cache since _join

        apply(limits)
    return jail


def _join(registry: Registry, jail: Jail) -> dict[int, tuple[int, int]]:
    if jail.cpus is not None:
        os.sched_setaffinity(0, jail.cpus)
    if not os.path.exists(f"{registry.root}/rules"):
        return {}
    from jail_linux.limits import join  # only where there are rules

    return join(registry, jail)


def execute(command: str, arguments: list[str]) -> int:
    """Replace this process by a program found on PATH, as execvp(3) does.

    `os.execvp` is no help here: it imports a module, and by now the root is the jail's.

    Args:
        command: Name for messages.
        arguments: The program and its arguments.

    Returns:
        1, and only if the program could not be started.
    """
    problem = _try(arguments)
    say(f"{command}: execvp: {arguments[0]}: {error_text(problem)}")
    return 1


def _try(arguments: list[str]) -> int:
    """Start a program; returns only where that fails, with the errno."""
    for number in (_SIGPIPE, _SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)  # this interpreter ignores them; the program must not
    name = arguments[0]
    folders = [""] if "/" in name else (os.environ.get("PATH") or _DEFAULT_PATH).split(":")
    worst = errno.ENOENT
    for folder in folders:
        path = f"{folder}/{name}" if folder else name
        try:
            os.execv(path, arguments)  # noqa: S606  # starting what it is told to is what the command is for
        except ValueError:
            return errno.ENOENT  # an empty name
        except OSError as problem:
            number = problem.errno or errno.ENOENT
            if number == errno.ENOEXEC:
                os.execv(_SHELL, [_SHELL, path, *arguments[1:]])  # noqa: S606  # as execvp(3) of libc does
            if number not in {errno.ENOENT, errno.ENOTDIR}:
                worst = number
            if number not in {errno.ENOENT, errno.ENOTDIR, errno.EACCES}:
                break
    return worst


def run_child(settings: "Settings", jid: int, arguments: list[str]) -> None:
    """In a forked child of jail(8): enter and run `command=`; never returns."""
    try:
        enter(settings, "jail", str(jid))
        say(f"jail: exec {arguments[0]}: {error_text(_try(arguments))}")
    except Failure as failure:
        say(failure.lines[0])
    os._exit(1)
