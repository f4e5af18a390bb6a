"""Runs the sweep, or parts of it, and prints figures: ``PYTHONPATH=tests python tests/sweep/figures.py [PART...]``.

The parts are model, processes and cycles. ``SWEEP_CRASHES`` is how many crashes a schedule of the model holds
at most (3), ``SWEEP_AGAIN`` how many schedules with several kills the process sweep carries out (60),
``SWEEP_CYCLES`` how many rounds of start, kill, start and stop are looked at from the host's side (200).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import rig
from model import judge
from model.driver import Choices
from model.explore import Explorer, fresh, plain, scenarios
from model.mutants import MUTANTS
from net import cycles as rounds
from sweep.schedule import RULES, Schedule, carry_out
from sweep.schedules import again, others, singles

CRASHES = int(os.environ.get("SWEEP_CRASHES", "3"))
AGAIN = int(os.environ.get("SWEEP_AGAIN", "60"))
CYCLES = int(os.environ.get("SWEEP_CYCLES", "200"))


def say(name: str, figure: object) -> None:
    """Print one figure."""
    print(f"{name:58} {figure}", flush=True)  # noqa: T201  # what this program is for


def model() -> int:
    """Search the model, then the mutants; the number of failures."""
    began = time.monotonic()
    explorer = Explorer()
    schedules = explorer.explore(fresh(), Choices(), CRASHES)
    for world, choices in scenarios():
        schedules += explorer.explore(world, choices, 1)
    report = explorer.report
    say(f"model: schedules (up to {CRASHES} crashes; 1 in each other course)", schedules)
    say("model: different worlds after a crash", report.worlds)
    say("model: acts after which the rules were checked", report.acts)
    say("model: rules", judge.RULES)
    for text, path in report.broken.items():
        say(f"BROKEN {text}", path)
    say("model: failures", len(report.broken))
    caught = sum(map(is_caught, MUTANTS))
    say("model: mutants caught", f"{caught} of {len(MUTANTS)}")
    say("model: seconds", round(time.monotonic() - began))
    return len(report.broken) + len(MUTANTS) - caught


def is_caught(mutant: str) -> bool:
    """Whether the search finds a planted bug."""
    explorer = Explorer(frozenset({mutant}), stop_at_first=True)
    for crashes, some in ((1, plain()), (0, scenarios()), (1, scenarios())):
        for world, choices in some:
            explorer.explore(world, choices, crashes)
            if explorer.done:
                return True
    say("NOT CAUGHT", f"{mutant}: {MUTANTS[mutant]}")
    return False


def schedules() -> Iterator[Schedule]:
    """Yield all schedules of the process sweep."""
    yield from singles()
    yield from others()
    yield from again(AGAIN)


def processes() -> int:
    """Carry out the process sweep; the number of failures."""
    began = time.monotonic()
    done = kills = failures = 0
    with ExitStack() as stack:
        host = stack.enter_context(rig.host(dying_s=0.3))
        for schedule in schedules():
            broken = carry_out(host, schedule)
            done += 1
            kills += len(schedule.kills)
            if broken:
                failures += 1
                say(f"BROKEN {schedule}", broken)
                host = stack.enter_context(rig.host(dying_s=0.3))
    say("processes: schedules", done)
    say("processes: kills of plugin, fork helper or supervisor", kills)
    say("processes: rules", RULES)
    say("processes: failures", failures)
    say("processes: seconds", round(time.monotonic() - began))
    return failures


def cycles() -> int:
    """Start, kill and stop tasks that use everything of the host; the number of failures."""
    began = time.monotonic()
    broken = 0
    with rig.host() as host:
        rounds.prepare(host)
        try:
            asyncio.run(rounds.cycles(host, CYCLES))
        except AssertionError as error:
            broken = 1
            say("BROKEN", error)
    say("cycles: rounds of start, kill, start, stop", CYCLES)
    say(
        "cycles: mounts, addresses, routes, interfaces, jails",
        "differ" if broken else "as before, each round",
    )
    say("cycles: seconds", round(time.monotonic() - began))
    return broken


PARTS = {"model": model, "processes": processes, "cycles": cycles}


if __name__ == "__main__":
    sys.exit(sum(PARTS[part]() for part in sys.argv[1:] or PARTS) > 0)
