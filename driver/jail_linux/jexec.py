"""jexec(8): run a program inside a jail, in place: its process id is the program's."""

import os

from jail_linux import barriers, inside, options, passwd
from jail_linux.failure import Failure, error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_USAGE = [
    "usage: jexec [-l] [-d working-directory] [-u username | -U username] jail",
    "       [command ...]",
]
_SHELL = "/bin/sh"
# What login.conf(5)'s class "default" sets on FreeBSD 15.1, as recorded.
_LOGIN_PATH = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
_LOGIN_ENV = {"BLOCKSIZE": "K", "LANG": "C.UTF-8", "MM_CHARSET": "UTF-8"}


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run jexec; returns only where it fails.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status.

    Raises:
        Failure: With jexec's words, status 1.
    """
    found, words = options.parse("jexec", "d:lnu:U:", arguments, _USAGE)
    letters = dict(found)
    if not words or ("u" in letters and "U" in letters):
        raise Failure(*_USAGE)
    clean = "l" in letters
    user = None
    if "u" in letters or (clean and "U" not in letters):
        user = _find(letters.get("u"))
    inside.enter(settings, "jexec", words[0])
    if "U" in letters:
        user = _find(letters["U"])
    if user is not None:
        named = "u" in letters or "U" in letters
        _log_in(user, named=named, clean=clean)
        if clean and named:
            _change_directory(user.home, "chdir")
    if "d" in letters:
        _change_directory(letters["d"], "chdir()")
    barriers.stop(settings, "jexec", arguments, "after")
    program = words[1:] or [os.environ.get("SHELL") or _SHELL, "-i"]
    return inside.execute("jexec", program)


def _find(name: "str | None") -> passwd.User:
    user = passwd.by_name(name) if name is not None else passwd.by_id(os.getuid())
    if user is None:
        raise Failure(f"jexec: {name if name is not None else os.getuid()}: no such user")
    return user


def _log_in(user: passwd.User, *, named: bool, clean: bool) -> None:
    """Set ids and environment as setusercontext(3) with the class "default" does."""
    if clean:
        term = os.environ.get("TERM")
        os.environ.clear()
        if term is not None:
            os.environ["TERM"] = term
    if named:
        try:
            passwd.become(user)
        except OSError as problem:
            raise Failure(f"jexec: setusercontext: {error_text(problem.errno or 0)}") from None
    os.environ.update(_LOGIN_ENV)
    os.environ["MAIL"] = f"/var/mail/{user.name}"
    os.environ["PATH"] = f"{_LOGIN_PATH}:{user.home.rstrip('/')}/bin"
    os.environ["USER"] = user.name
    os.environ["HOME"] = user.home
    os.environ["SHELL"] = user.shell or _SHELL


def _change_directory(path: str, call: str) -> None:
    try:
        os.chdir(path)
    except OSError as problem:
        raise Failure(f"jexec: {call}: {path}: {error_text(problem.errno or 0)}") from None
