"""A command runner that answers with recorded output, and fails on a command that was never recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jail_driver.host.command import Completed
from jail_driver.host.freebsd import FreeBSDHost
from jail_driver.host.tools import _HOMES, EXTRAS, Tools

NATIVE = Tools(path_directory=None, **{name: f"{home}/{name}" for name, home in (_HOMES | EXTRAS).items()})


class Replay:
    """Answers each command line, in FreeBSD's own words, as often as it was recorded.

    Args:
        rows: (command line, status, stdout, stderr); the command without its directory.
    """

    def __init__(self, *rows: tuple[str, int, str, str]) -> None:
        self.rows = list(rows)
        self.locks: list[Path | None] = []

    async def run(self, argv: Sequence[str], **options: Any) -> Completed:
        """Answers with the first row of this command line that has not been used."""
        line = " ".join([Path(argv[0]).name, *argv[1:]])
        for row in self.rows:
            if row[0] == line:
                self.rows.remove(row)
                self.locks.append(options.get("lock"))
                return Completed(tuple(argv), row[1], None, row[2].encode(), row[3].encode())
        raise AssertionError(f"not recorded: {line!r}; left: {[row[0] for row in self.rows]}")

    def host(self) -> FreeBSDHost:
        """Returns the adapter over these answers."""
        return FreeBSDHost(NATIVE, self)
