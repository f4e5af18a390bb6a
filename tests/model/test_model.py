"""Every schedule of crashes, over the pure core and a simulated host: fast, and exhaustive within its bounds."""

from __future__ import annotations

import pytest

from model.driver import Choices
from model.explore import Explorer, fresh, plain, scenarios
from model.mutants import MUTANTS

pytestmark = pytest.mark.sweep


def test_every_single_crash_of_a_life() -> None:
    """Wherever it dies, by kill or by power cut: one main, the true status, a clean host."""
    explorer = Explorer()
    schedules = explorer.explore(fresh(), Choices(), crashes=1)
    assert explorer.report.broken == {}
    assert schedules > 500


def test_every_course_without_a_crash() -> None:
    """Main may end, Nomad may stop or force, a step may fail: at every act."""
    explorer = Explorer()
    for world, choices in scenarios():
        explorer.explore(world, choices, crashes=0)
    assert explorer.report.broken == {}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_bug_is_caught(mutant: str) -> None:
    """A test of the test: the same search finds each mistake."""
    explorer = Explorer(frozenset({mutant}), stop_at_first=True)
    courses = list(scenarios())
    # Most are caught by one crash of a plain course; the others need one of their own.
    for crashes, some in ((1, list(plain())), (0, courses), (1, courses)):
        for world, choices in some:
            explorer.explore(world, choices, crashes)
            if explorer.done:
                return
    pytest.fail(f"{MUTANTS[mutant]}: not caught")
