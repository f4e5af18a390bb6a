"""``install``: puts the executable that Nomad loads into a plugin directory."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jail_driver.errors import DriverError

if TYPE_CHECKING:
    import argparse

NAME: Final = "install"
HELP: Final = "put the executable that Nomad loads into its plugin_dir"
FILE: Final = "jail-task-driver"
"""Nomad finds a plugin by its file's name: that of the ``plugin`` block and of ``driver`` in jobs."""

_MARK: Final = "# Written by `jail-task-driver install`."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--plugin-dir",
        required=True,
        type=Path,
        metavar="DIR",
        help="the agent's plugin_dir; made if missing",
    )


def execute(options: argparse.Namespace) -> int:
    """Installs, and says what to put into the agent's configuration.

    Raises:
        DriverError: the directory cannot be written, or another program has that name.
    """
    directory: Path = options.plugin_dir.absolute()
    try:
        target = install(directory)
    except OSError as error:
        raise DriverError(f"cannot install into {directory}: {error.strerror}") from error
    sys.stdout.write(
        f"installed {target}\n\nThe agent's configuration needs:\n\n"
        f'    plugin_dir = "{directory}"\n\n    plugin "{FILE}" {{\n    }}\n'
    )
    return 0


def script() -> str:
    """Returns the executable's text: it hands over to the Python that runs us, whatever its path holds.

    A shebang line cannot: its length is limited and blanks end its words. ``-I`` keeps the agent's
    environment (PYTHONPATH, the working directory) out.
    """
    python = shlex.quote(sys.executable)
    return f'#!/bin/sh\n{_MARK}\nexec {python} -I -m jail_driver "$@"\n'


def install(directory: Path) -> Path:
    """Writes the executable, whole or not at all; may be repeated.

    Raises:
        DriverError: something else has that name.
        OSError: the directory cannot be made or written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / FILE
    if target.is_dir() or (target.exists() and _MARK not in target.read_text(errors="replace")):
        raise DriverError(f"{target} is something else: move it away first")
    # A plugin that is being launched keeps reading the old file.
    descriptor, name = tempfile.mkstemp(prefix=f".{FILE}.", dir=directory)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(script())
        Path(name).chmod(0o755)
        Path(name).rename(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target
