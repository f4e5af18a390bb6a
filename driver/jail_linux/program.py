"""The frame of every command: settings, barriers, output, exit status."""

import os
import sys

from jail_linux import barriers, settings
from jail_linux.failure import Failure, error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from jail_linux.settings import Settings

    Main = Callable[[Settings, list[str]], int]


def write(descriptor: int, text: str) -> None:
    """Write all of a text, bytes that are no UTF-8 unchanged; a closed pipe ends the program quietly.

    Args:
        descriptor: 1 or 2.
        text: What to write; arguments keep odd bytes as surrogates.
    """
    data = text.encode("utf-8", "surrogateescape")
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        os._exit(1)


def out(text: str) -> None:
    """Write to standard output."""
    write(1, text)


def say(text: str) -> None:
    """Write one line to standard error."""
    write(2, text + "\n")


def run(command: str, main: "Main", directory: str, arguments: list[str]) -> None:
    """Run a command and end the process with its status.

    The process ends through _exit(2): nothing here needs an orderly interpreter shutdown, which costs a
    fifth of the run.

    Args:
        command: Its name.
        main: Gets settings and arguments, returns the exit status.
        directory: The tools directory it was started from.
        arguments: Without the command's own name.
    """
    try:
        found = settings.load(directory)
        barriers.stop(found, command, arguments, "before")
        status = main(found, arguments)
        barriers.stop(found, command, arguments, "after")
    except Failure as failure:
        for line in failure.lines:
            say(line)
        status = failure.status
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        say(f"{command}: {where}{error_text(problem.errno or 0)}")
        status = 1
    except KeyboardInterrupt:
        status = 130
    os._exit(status)


def start(command: str, directory: str) -> None:
    """Run the command that a script in a tools directory names, with the script's arguments.

    Args:
        command: A module of this package with a `main`.
        directory: The tools directory.
    """
    _forget_own_locale()
    module = __import__(f"jail_linux.{command}", fromlist=["main"])
    run(command, module.main, directory, sys.argv[1:])


def _forget_own_locale() -> None:
    """Drop the LC_CTYPE that Python sets for itself in the C locale (PEP 538): jailed programs inherit ours."""
    if "LC_CTYPE" in os.environ:
        with open("/proc/self/environ", "rb") as given:
            if b"\0LC_CTYPE=" not in b"\0" + given.read():
                del os.environ["LC_CTYPE"]
