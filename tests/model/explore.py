"""All schedules: every point at which the driver can die, every way of dying, again and again.

A world after a crash is explored once, however many schedules lead to it; the schedules are counted all the
same, so that the figures say what was covered. Worlds are remembered by a hash of 64 bits, because three crashes
lead to several hundred thousand: that one of them is taken for another has a chance of about 1 in 10⁸.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from core_builders import DOWN_HOOKS, UP, planned
from jail_state.core.steps import Phase, Step, StepKind, teardown_of
from model import effects, judge
from model.driver import Choices, EndlessError, Life
from model.world import HOST_ADDRESS, HOST_POINT, OURS, PATH, Jail, World

_MORE = (
    Step(HOST_ADDRESS, StepKind.ADDRESS, Phase.ADDRESS),
    Step(HOST_POINT, StepKind.MOUNT_POINT, Phase.MOUNT),
)
STEPS = tuple(sorted((*UP, *_MORE), key=lambda step: step.phase))
PLAN = planned(steps=STEPS, teardown=teardown_of(STEPS, DOWN_HOOKS))


def fresh() -> World:
    """Return a host on which nothing has happened yet."""
    return World(PLAN)


def with_a_namesake() -> World:
    """Return a host on which somebody else made a jail of our name, elsewhere."""
    w = World(PLAN)
    w.jails = (*w.jails, Jail(2, OURS, "/usr/jails/namesake"))
    return w


def acts_of_a_life() -> tuple[int, int]:
    """Return how many acts a life without trouble has, and at which of them main starts."""
    w = fresh()
    mains = [w.truth.mains for _ in Life(w, Choices()).run()]
    return len(mains), 1 + mains.index(1)


def plain() -> Iterator[tuple[World, Choices]]:
    """Yield the few courses that show most mistakes."""
    yield fresh(), Choices()
    yield with_a_namesake(), Choices()
    yield fresh(), Choices(exits_at=acts_of_a_life()[1])


def scenarios() -> Iterator[tuple[World, Choices]]:
    """Yield the courses that a task can take if nothing crashes: each may be crashed anywhere."""
    yield from plain()
    for step in STEPS:
        yield fresh(), Choices(fails=step.key)
    for act in range(1, acts_of_a_life()[0] + 1):
        yield fresh(), Choices(exits_at=act)
        yield fresh(), Choices(stops_at=act)
        yield fresh(), Choices(stops_at=act, forced=True)


@dataclass(slots=True)
class Report:
    """What an exploration did."""

    schedules: int = 0
    worlds: int = 0
    lives: int = 0
    acts: int = 0
    checks: int = 0
    broken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Each broken rule with the first schedule that breaks it."""


class Explorer:
    """Tries every schedule of up to ``crashes`` deaths.

    Args:
        bugs: mutants of the driver, see ``tests/model/mutants.py``.
        stop_at_first: whether one broken rule is enough.
    """

    def __init__(self, bugs: frozenset[str] = frozenset(), *, stop_at_first: bool = False) -> None:
        self.bugs = bugs
        self.report = Report()
        self._stop_at_first = stop_at_first
        self._known: dict[int, int] = {}

    def explore(self, world: World, choices: Choices, crashes: int, path: tuple[str, ...] = ()) -> int:
        """Live on from a world, with and without further crashes; returns the number of schedules."""
        key = hash((world.key(), choices, crashes))
        if key in self._known:
            return self._known[key]
        self.report.worlds += 1
        self.report.lives += 1
        schedules = 1
        w = world.copy()
        life = Life(w, choices, self.bugs)
        later = replace(choices, exits_at=0, stops_at=0)
        for _ in _bounded(life, w):
            self.report.acts += 1
            self._check(judge.always(w), path)
            if self.done:
                return schedules
            if crashes:
                for name, after in deaths(w, life):
                    for repeats in (True, False) if not w.handle else (True,):
                        here = (*path, f"act {life.acts} ({_where(life)}): {name}")
                        schedules += self.explore(after, replace(later, repeats=repeats), crashes - 1, here)
        self._check(judge.at_the_end(w), path)
        self._known[key] = schedules
        return schedules

    @property
    def done(self) -> bool:
        """Whether to go on makes no sense."""
        return self._stop_at_first and bool(self.report.broken)

    def _check(self, broken: Iterator[str], path: tuple[str, ...]) -> None:
        self.report.checks += 1
        for text in broken:
            self.report.broken.setdefault(text, path)


def _bounded(life: Life, w: World) -> Iterator[None]:
    try:
        yield from life.run()
    except EndlessError:
        w.fault("the driver goes on for ever")


def _where(life: Life) -> str:
    if life.doing is not None:
        return f"intent of {life.doing.key}"
    task = life.w.task
    return "no stream" if task is None else f"{task.state}"


def deaths(w: World, life: Life) -> Iterator[tuple[str, World]]:
    """Yield each way to die here, with the world after it."""
    for name, killed in _kills(w, life):
        yield name, killed
        yield from _meanwhile(name, killed)
    for synced in (False, True):
        after = w.copy()
        after.reboot(synced=synced)
        yield ("reboot, all synced" if synced else "reboot, tail lost"), after


def _kills(w: World, life: Life) -> Iterator[tuple[str, World]]:
    after = w.copy()
    after.plugin_dies()
    yield "kill", after
    step = life.doing
    if step is None:
        return
    if step.kind in effects.COMMANDS:
        after = w.copy()
        after.plugin_dies(step.key)
        yield "kill, its command goes on", after
    elif step.kind is StepKind.MAIN and w.supervisor == "waiting":
        after = w.copy()
        after.supervisor = "ordered"
        after.plugin_dies()
        yield "kill, the order was sent", after


def _meanwhile(name: str, killed: World) -> Iterator[tuple[str, World]]:
    """Yield what else may happen while no plugin lives."""
    if killed.main is not None:
        after = killed.copy()
        after.end_main(7)
        yield f"{name}; main ends", after
        after = killed.copy()
        after.supervisor = ""
        after.truth.lost = True
        yield f"{name}; the supervisor is killed", after
        after = killed.copy()
        after.supervisor = ""
        after.end_main(9)
        yield f"{name}; the supervisor and main are killed", after
    ours = [jail for jail in killed.jails if jail.path == PATH]
    if ours and ours[0].dying is None:
        after = killed.copy()
        after.remove_jail(ours[0].jid)
        after.truth.removed = killed.truth.removed
        yield f"{name}; somebody removes the jail", after
