"""``replay``: an exported event log, folded again: what ``state-dump`` would have shown then and there.

The log is what ``state-dump --events --json`` prints, of this version or an older one. Nothing else is read:
no store, no host, so it works on any machine that an operator's log was sent to.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jail_driver.errors import DriverError

if TYPE_CHECKING:
    import argparse

NAME: Final = "replay"
HELP: Final = "show the tasks of an exported event log, at its end or at any event"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "log", metavar="LOG", help="what state-dump --events --json printed; - for standard input"
    )
    parser.add_argument("--task", default="", metavar="TASK", help="only this one, as state-dump takes it")
    parser.add_argument("--until", type=int, metavar="SEQ", help="each task as it was after this event")
    parser.add_argument("--events", action="store_true", help="the history, event by event")
    parser.add_argument("--json", action="store_true", help="for programs; with --events one line per event")


def execute(options: argparse.Namespace) -> int:
    """Prints the tasks as their events tell them.

    Returns:
        0, or 1 if a task was named and there is none such.

    Raises:
        DriverError: the log cannot be read, is damaged, or was written by a newer version.
    """
    from jail_state import dump  # noqa: PLC0415  # only for this
    from jail_state.core.errors import CoreError  # noqa: PLC0415
    from jail_state.store import log  # noqa: PLC0415
    from jail_state.store.codec import Codec  # noqa: PLC0415
    from jail_state.store.errors import StoreError  # noqa: PLC0415

    name = "standard input" if options.log == "-" else options.log
    try:
        histories = log.load(Codec(), _text(options.log).splitlines(), name)
        if options.task:
            histories = dump.select(histories, options.task)
        if options.until is not None:
            histories = dump.cut(histories, seq=options.until)
        render = {
            (False, False): dump.tasks_table,
            (False, True): dump.tasks_json,
            (True, False): dump.events_text,
            (True, True): dump.events_json,
        }[options.events, options.json]
        text = render(histories)
    except StoreError as error:
        raise DriverError(str(error)) from error
    except CoreError as error:
        raise DriverError(f"{name}: {error}") from error
    if not histories:
        sys.stderr.write(f"jail-task-driver: {name} has no such task\n")
        return 1
    sys.stdout.write(text)
    sys.stdout.flush()
    return 0


def _text(log: str) -> str:
    try:
        return sys.stdin.read() if log == "-" else Path(log).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise DriverError(f"{log}: {error}") from error
