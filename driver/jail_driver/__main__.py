"""``jail-task-driver``: Nomad's plugin, and the commands for people.

Nomad launches the executable without arguments, at least three times: that path imports nothing else.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from jail_driver.errors import DriverError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_COOKIE_KEY = "NOMAD_PLUGIN_MAGIC_COOKIE"

_BY_HAND = """\
jail-task-driver is a task driver for Nomad; Nomad's agent starts it by itself.

    jail-task-driver install --plugin-dir DIR   put it where the agent looks for plugins
    jail-task-driver run JOB.nomad.hcl          run one task without an agent
    jail-task-driver state-dump                 show the tasks and their history
    jail-task-driver --help                     everything else
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: without the program's name; None: the process's own.

    Returns:
        The exit status: 0 for success, 1 for an error that was said on stderr, 2 for a wrong command
        line; ``run`` ends with the task's own status.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments and os.environ.get(_COOKIE_KEY):
        arguments = ["serve"]
    if arguments == ["serve"]:
        from jail_driver.cli import serve  # noqa: PLC0415  # Nomad waits: nothing but what serving needs

        serve.execute()
    if not arguments:
        sys.stderr.write(_BY_HAND)
        return 1
    options = _parser().parse_args(arguments)
    try:
        status: int = options.execute(options)
    except DriverError as error:
        sys.stderr.write(f"jail-task-driver: {error}\n")
        return 1
    except BrokenPipeError:
        # The reader of our output, such as `head`, has seen enough.
        sys.stdout = None  # nothing is left to flush at exit
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    import argparse  # noqa: PLC0415  # not for Nomad's launches

    from jail_driver.cli import install, replay, run, state_dump  # noqa: PLC0415
    from jail_driver.version import __version__  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="jail-task-driver", description="Nomad task driver that runs each task in a FreeBSD jail."
    )
    parser.add_argument("--version", action="version", version=f"jail-task-driver {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve as Nomad's plugin (what Nomad starts)")
    for module in (run, state_dump, replay, install):
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(execute=module.execute)
    return parser


if __name__ == "__main__":
    sys.exit(main())
