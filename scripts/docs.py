# ruff: noqa: INP001  # a script, no package
"""Makes the pages of docs/reference that are drawn from the program's own tables: ``make docs``.

A test fails when a page and its table differ.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from jail_driver.config import reference
from jail_state.core.events import EVENT_TYPES
from jail_state.core.lifecycle import TABLE, State

REFERENCE = Path(__file__).parents[1] / "docs/reference"
INTRODUCTION = """\
# States and events

This page is made from the program's own tables by `make docs`; a test fails when they differ.

## States

```mermaid
stateDiagram-v2
"""


def lifecycle() -> str:
    """Returns the page of states and events."""
    lines = [f"    [*] --> {State.PENDING}\n"]
    lines += [f"    {source} --> {target}: {trigger}\n" for trigger, source, target in TABLE]
    lines += [f"    {State.STOPPED} --> [*]\n```\n\n| from | trigger | to |\n| --- | --- | --- |\n"]
    lines += [f"| {source} | {trigger} | {target} |\n" for trigger, source, target in TABLE]
    lines += ["\nEvery other trigger in every other state is refused, and changes nothing.\n"]
    lines += ["\n## Events\n\n| event | version | meaning |\n| --- | --- | --- |\n"]
    for name, event in EVENT_TYPES.items():
        meaning = " ".join((inspect.getdoc(event) or "").split("\n\n")[0].replace("``", "`").split())
        lines.append(f"| `{name}` | {event.version} | {meaning} |\n")
    return INTRODUCTION + "".join(lines)


PAGES = {"lifecycle.md": lifecycle, "parameters.md": reference.render}
"""The generated pages and what makes them."""


def main() -> int:
    """Writes every page."""
    for name, render in PAGES.items():
        (REFERENCE / name).write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
