"""Stops inside a command, before and after its effect, so that a test can fail, delay or kill it there.

`settings.json` may hold a list "barriers". Each entry is an object:

- `command`: the program's name; `match` (optional): a text that must stand in its arguments joined by blanks;
- `when`: "before" or "after" the effect; `occurrence` (optional, from 1): only the n-th match counts;
- `announce` (optional): a file that the program creates, holding its pid; it waits until the file is gone;
- `delay_s` (optional): seconds to sleep; `fail` (optional): status to end with; `words`: what to say then.
"""

import os
import time

from jail_linux.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from jail_linux.settings import Settings

_POLL_S = 0.01


def stop(settings: "Settings", command: str, arguments: list[str], when: str) -> None:
    """Stop here if a barrier says so.

    Args:
        settings: Of the tools directory.
        command: The program that runs.
        arguments: Its arguments.
        when: "before" or "after".

    Raises:
        Failure: The barrier makes the command fail.
    """
    for number, barrier in enumerate(settings.barriers):
        if barrier.get("command") != command or barrier.get("when", "before") != when:
            continue
        if str(barrier.get("match", "")) not in " ".join(arguments):
            continue
        if "occurrence" in barrier and _count(settings.directory, number) != barrier["occurrence"]:
            continue
        _hold(barrier)


def _hold(barrier: "dict[str, Any]") -> None:
    announce = barrier.get("announce")
    if announce:
        temporary = f"{announce}.{os.getpid()}"
        with open(temporary, "w", encoding="ascii") as stream:
            stream.write(f"{os.getpid()}\n")
        os.rename(temporary, announce)
        while os.path.exists(announce):
            time.sleep(_POLL_S)
    time.sleep(float(barrier.get("delay_s", 0)))
    if "fail" in barrier:
        raise Failure(str(barrier.get("words", "")), status=int(barrier["fail"]))


def _count(directory: str, number: int) -> int:
    """Count one more match of a barrier; appending one byte is atomic, so matches may race."""
    path = os.path.join(directory, f"barrier.{number}.count")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, b".")
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    finally:
        os.close(descriptor)
