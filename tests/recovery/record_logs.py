"""Records event logs of real tasks: ``PYTHONPATH=tests python tests/recovery/record_logs.py NAME…`` (as root).

Each log of ``tests/recovery/logs`` is one way that a task can go, as a released version wrote it. They are
added to and never changed: a log that no longer replays means that somebody's history cannot be read any more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import rig
from jail_state import dump
from sweep.schedule import Kill, Run, Schedule, carry_out_run

FOLDER = Path(__file__).with_name("logs")
WAYS: dict[str, Schedule] = {
    "exit": Schedule(),
    "stop": Schedule(course="stop"),
    "destroy": Schedule(course="destroy"),
    "vnet": Schedule(vnet=True),
    "failed-hook": Schedule((Kill("after-effect", "exec.prestart[0]"),)),
    "resumed": Schedule((Kill("after-effect", "jail"),)),
    "given-up": Schedule((Kill("after-effect", "jail"),), repeats=False),
    "reattached": Schedule((Kill("after-outcome", "main"),), course="stop"),
    "supervisor-killed": Schedule((Kill("after-outcome", "main", victim="supervisor"),), course="stop"),
    "killed-in-teardown": Schedule((Kill("after-intent", "jail-remove"),), course="stop"),
}
"""Every way to go, and the schedule that shows it."""


def record(name: str, schedule: Schedule) -> None:
    """Carry out a schedule and keep its history, with names and paths of the machine made neutral."""
    with rig.host(dying_s=0.2) as host:
        run = Run(host, schedule)
        broken = carry_out_run(run)
        if broken:
            raise SystemExit(f"{name}: {broken}")
        text = dump.events_json({run.spec.id: host.history(run.spec.id)})
        neutral: Callable[[str], str] = lambda line: line.replace(str(host.base), "/host")  # noqa: E731
        (FOLDER / f"{name}.jsonl").write_text(neutral(text))


if __name__ == "__main__":
    for way in sys.argv[1:] or WAYS:
        record(way, replace(WAYS[way]))
