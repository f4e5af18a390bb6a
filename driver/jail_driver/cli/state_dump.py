"""``state-dump``: the tasks and their history, read from the event store alone, with the plugin up or down."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jail_driver.cli.paths import state_directory
from jail_driver.errors import DriverError

if TYPE_CHECKING:
    import argparse

NAME: Final = "state-dump"
HELP: Final = "show tasks and their history; works with the plugin up or down and changes nothing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "task",
        nargs="?",
        default="",
        metavar="TASK",
        help="an allocation's or task's id, its beginning, or a name",
    )
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="the driver's state directory")
    parser.add_argument("--events", action="store_true", help="the history, event by event")
    parser.add_argument("--json", action="store_true", help="for programs; with --events one line per event")


def execute(options: argparse.Namespace) -> int:
    """Prints the tasks.

    Returns:
        0, or 1 if a task was named and there is none such.

    Raises:
        DriverError: the event store cannot be read; the text says why.
    """
    from jail_state import dump  # noqa: PLC0415  # SQLAlchemy: only for this
    from jail_state.store.errors import StoreError, StoreMissingError  # noqa: PLC0415
    from jail_state.store.readonly import ReadOnlyStore  # noqa: PLC0415

    state_dir = state_directory(options.state_dir)
    try:
        histories = ReadOnlyStore(state_dir / "events.db").every()
    except StoreMissingError as error:
        raise DriverError(f"no task was ever started with {state_dir}; --state-dir names another") from error
    except StoreError as error:
        raise DriverError(str(error)) from error
    if options.task:
        histories = dump.select(histories, options.task)
        if not histories:
            sys.stderr.write(f"jail-task-driver: no task {options.task!r} in {state_dir}\n")
            return 1
    render = {
        (False, False): dump.tasks_table,
        (False, True): dump.tasks_json,
        (True, False): dump.events_text,
        (True, True): dump.events_json,
    }[options.events, options.json]
    sys.stdout.write(render(histories))
    sys.stdout.flush()
    return 0
