"""``run``: plays Nomad's part for one task of a job file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jail_driver.cli.paths import state_directory
from jail_driver.errors import ConfigError

if TYPE_CHECKING:
    import argparse

NAME: Final = "run"
HELP: Final = "run one task of a job file without an agent: its log, its states, its exit code"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("job", metavar="JOB.nomad.hcl", help="the job file; - for standard input")
    parser.add_argument("--task", default="", help="which task, if the file has several")
    parser.add_argument(
        "-var",
        dest="variables",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="value of a variable that the file declares; may be repeated",
    )
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="the driver's state directory")
    parser.add_argument(
        "--fetch", default="", metavar="URL", help="get this URL once the task runs; print the reply"
    )
    parser.add_argument(
        "--for",
        dest="seconds",
        type=float,
        metavar="SECONDS",
        help="stop after this time instead of running until Ctrl-C",
    )
    parser.add_argument("--verbose", action="store_true", help="show all of the plugin's own log")


def execute(options: argparse.Namespace) -> int:
    """Runs the task to its end, or until Ctrl-C.

    Returns:
        The task's exit code; 128 and the signal's number if a signal ended it.

    Raises:
        DriverError: the file is wrong, or the task cannot be started.
    """
    # State and files belong to the user outside; inside the namespace everybody is root.
    state_dir = state_directory(options.state_dir)
    text = read_job(options.job)
    variables = dict(variable(one) for one in options.variables)

    from jail_driver.cli import runner, userns  # noqa: PLC0415  # gRPC and SQLAlchemy: only for this

    userns.become_root()
    return runner.run(
        runner.Wanted(
            job=text,
            task=options.task,
            variables=variables,
            state_dir=state_dir,
            fetch=options.fetch,
            seconds=options.seconds,
            verbose=options.verbose,
        )
    )


def read_job(path: str) -> str:
    """Returns the job file's text.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def variable(text: str) -> tuple[str, str]:
    """Splits ``name=value``.

    Raises:
        ConfigError: no equals sign.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"-var {text!r} is not NAME=VALUE")
    return name, value
