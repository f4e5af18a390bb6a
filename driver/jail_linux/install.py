"""Write the stand-ins into a directory: `python -m jail_linux.install DIR`, or by path with `python -I -S`.

Each command becomes a small executable script DIR/NAME; DIR/settings.json says where their registry is.
Running it again with the same arguments changes nothing; every file is replaced whole.
"""

import os
import sys

COMMANDS = (
    "cpuset",
    "devfs",
    "ifconfig",
    "jail",
    "jexec",
    "jls",
    "kenv",
    "mount",
    "pgrep",
    "pkill",
    "ps",
    "rctl",
    "route",
    "sysctl",
    "umount",
)
_USAGE = "usage: install.py [--registry DIR] [--dying-s SECONDS] [--no-racct] DIR"
_SHEBANG_MAX = 120


def script(interpreter: str, root: str, command: str, directory: str) -> str:
    """Text of one command.

    Args:
        interpreter: Absolute path of the Python that runs it.
        root: Directory that holds the package `jail_linux`.
        command: Name of the command, and of its module.
        directory: The tools directory.

    Returns:
        A Python script, or a polyglot that starts as a shell script where the interpreter's path does not
        fit into a `#!` line.
    """
    # Compiled modules are half of a quick start; where they cannot lie beside the package they lie here.
    is_writable = os.access(os.path.join(root, "jail_linux"), os.W_OK)
    cache = "" if is_writable else f"sys.pycache_prefix = {os.path.join(directory, 'cache')!r}\n"
    body = (
        f"import sys\n{cache}"
        f"sys.path.insert(0, {root!r})\n"
        "from jail_linux.program import start\n"
        f"start({command!r}, {directory!r})\n"
    )
    if len(interpreter) < _SHEBANG_MAX and not set(interpreter) & set(" \t"):
        return f"#!{interpreter} -IS\n{body}"
    quoted = interpreter.replace("'", "'\\''")
    return f"#!/bin/sh\n'''exec' '{quoted}' -IS \"$0\" \"$@\"\n' '''\n{body}"


def replace(path: str, text: str, mode: int) -> None:
    """Write a file so that nobody ever sees half of it; leave it alone if it is so already.

    Args:
        path: Where.
        text: Its content.
        mode: Its permissions.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            if stream.read() == text and os.stat(path).st_mode & 0o777 == mode:
                return
    except FileNotFoundError:
        pass
    temporary = f"{path}.{os.getpid()}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
        os.fchmod(descriptor, mode)
    os.rename(temporary, path)


def install(directory: str, settings: "dict[str, object]") -> None:
    """Write all commands and their settings.

    Args:
        directory: Where; made with mode 0700 if it is missing.
        settings: What settings.json shall hold, see `jail_linux.settings`.
    """
    from jail_linux.jsontext import dumps  # the path is set by main

    directory = os.path.abspath(directory)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The virtual environment's interpreter finds its home through two more files; without packages the one
    # that it was made from does as well.
    interpreter = getattr(sys, "_base_executable", "") or sys.executable
    os.makedirs(directory, mode=0o700, exist_ok=True)
    settings = {"registry": os.path.join(directory, "registry"), **settings}
    replace(os.path.join(directory, "settings.json"), dumps(settings), 0o600)
    for command in COMMANDS:
        replace(os.path.join(directory, command), script(interpreter, root, command, directory), 0o755)


def main(arguments: list[str]) -> int:
    """Run the installer.

    Args:
        arguments: Without the program's own name.

    Returns:
        The exit status.
    """
    settings: dict[str, object] = {}
    words = list(arguments)
    directories = []
    try:
        while words:
            word = words.pop(0)
            if word == "--registry":
                settings["registry"] = os.path.abspath(words.pop(0))
            elif word == "--dying-s":
                settings["dying_s"] = float(words.pop(0))
            elif word == "--no-racct":
                settings["racct"] = False
            else:
                directories.append(word)
        [directory] = directories
    except (ValueError, IndexError):
        directory = "-"
    if directory.startswith("-"):
        sys.stderr.write(_USAGE + "\n")
        return 2
    install(directory, settings)
    return 0


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.exit(main(sys.argv[1:]))
