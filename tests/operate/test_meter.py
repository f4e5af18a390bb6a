"""From looks to figures: what a meter says of made-up readings."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from jail_driver.engine.limit_watch import LimitWatch
from jail_driver.engine.meter import Meter, Reading
from jail_driver.host.usage_parse import ProcessUsage
from jail_state.core.steps import Phase, Step, StepKind

MIB = 1 << 20


def process(pid: int, user_s: float = 0.0, system_s: float = 0.0, children_s: float = 0.0) -> ProcessUsage:
    """One process of jail 1 with 10 MiB."""
    return ProcessUsage(pid, 1, 1, 10 * MIB, user_s, system_s, user_s + system_s + children_s)


def reading(
    at_s: float,
    *processes: ProcessUsage,
    reaped_s: float = 0.0,
    counters: Mapping[str, int] | None = None,
    age_s: float = 10.0,
) -> Reading:
    """A look at a core of 2000 MHz."""
    return Reading(at_s, int(at_s * 1e9), processes, reaped_s, counters, age_s=age_s, mhz=2000)


class TestProcessor:
    """Percent of one core, by what was used between two readings."""

    def test_the_first_sample_tells_of_the_whole_life(self) -> None:
        """5 s in 10 s are 50 %, and half a core's clock."""
        cpu = Meter().read(reading(100, process(1, 4, 1))).total.cpu
        assert (cpu.percent, cpu.user_mode, cpu.system_mode) == pytest.approx((50, 40, 10))
        assert cpu.total_ticks == pytest.approx(1000)

    def test_later_samples_tell_of_the_time_between(self) -> None:
        """Two cores for two seconds, one of them in the kernel."""
        meter = Meter()
        meter.read(reading(100, process(1, 4, 1)))
        usage = meter.read(reading(102, process(1, 6, 3)))
        assert usage.total.cpu.percent == pytest.approx(200)
        assert usage.total.cpu.system_mode == pytest.approx(100)
        assert usage.by_pid["1"].cpu.percent == pytest.approx(200)

    def test_ended_children_are_not_lost(self) -> None:
        """A shell that runs one program after the other is as busy as they were."""
        meter = Meter()
        meter.read(reading(100, process(1), process(2, 0.5)))
        assert meter.read(reading(101, process(1, children_s=1.0))).total.cpu.percent == pytest.approx(50)

    def test_what_the_supervisor_reaped_is_not_lost(self) -> None:
        """An orphan's time moves to its reaper."""
        meter = Meter()
        meter.read(reading(100, process(1), process(2, 3)))
        assert meter.read(reading(101, process(1), reaped_s=3.5)).total.cpu.percent == pytest.approx(50)

    def test_it_never_runs_backwards(self) -> None:
        """Somebody else reaped a busy process: the rest goes on counting from there."""
        meter = Meter()
        meter.read(reading(100, process(1), process(2, 30)))
        assert meter.read(reading(101, process(1))).total.cpu.percent == 0
        assert meter.read(reading(102, process(1, 0.25))).total.cpu.percent == pytest.approx(25)

    def test_racct_knows_of_more(self) -> None:
        """Its whole seconds pull the count up once, and do not make it jump to and fro."""
        meter = Meter()
        meter.read(reading(100, process(1), counters={"cputime": 0}))
        percents = [
            meter.read(reading(100 + at, process(1, at * 0.1), counters={"cputime": at})).total.cpu.percent
            for at in range(1, 31)
        ]
        assert sum(percents) / len(percents) == pytest.approx(100, abs=6)

    def test_no_time_has_passed(self) -> None:
        """Zero, not a division by zero."""
        meter = Meter()
        meter.read(reading(100, process(1, 1), age_s=0))
        assert meter.read(reading(100, process(1, 2))).total.cpu.percent == 0

    def test_a_reused_pid(self) -> None:
        """It begins anew, and is never negative."""
        meter = Meter()
        meter.read(reading(100, process(1, 50)))
        assert meter.read(reading(101, process(1, 0.5))).by_pid["1"].cpu.percent == pytest.approx(50)


class TestMemory:
    """Bytes now, and the most that was seen."""

    def test_without_racct(self) -> None:
        """The sum over the processes; swap is not measured, and not claimed to be."""
        meter = Meter()
        meter.read(reading(100, process(1), process(2)))
        memory = meter.read(reading(101, process(1))).total.memory
        assert (memory.rss_bytes, memory.max_usage_bytes) == (10 * MIB, 20 * MIB)
        assert "SWAP" not in memory.measured

    def test_with_racct(self) -> None:
        """The kernel's own count."""
        counters = {"memoryuse": 12 * MIB, "swapuse": 3 * MIB}
        memory = Meter().read(reading(100, process(1), counters=counters)).total.memory
        assert (memory.rss_bytes, memory.swap_bytes, memory.usage_bytes) == (12 * MIB, 3 * MIB, 12 * MIB)
        assert "SWAP" in memory.measured


class TestLimits:
    """A limit that is reached is news once."""

    @staticmethod
    def watch(action: str = "deny", per: str | None = None) -> LimitWatch:
        """One rule: maxproc 20."""
        args = {"resource": "maxproc", "action": action, "amount": "20", "per": per}
        return LimitWatch([Step("rule", StepKind.RULE, Phase.RULE, args)])

    def test_told_once(self) -> None:
        """Not again while it stays there, nor soon after; again when it had time to be news."""
        watch = self.watch()
        told = [
            len(watch.look({"maxproc": used}, at_s))
            for at_s, used in [(0, 5), (1, 20), (2, 20), (3, 5), (4, 20), (70, 5), (71, 20)]
        ]
        assert told == [0, 1, 0, 0, 0, 0, 1]

    def test_the_sentence(self) -> None:
        """It names the resource, both amounts and the rule."""
        assert self.watch().look({"maxproc": 20}, 0) == (
            "limit reached: maxproc is 20 of 20 (maxproc:deny=20)",
        )

    @pytest.mark.parametrize(("action", "per"), [("sigkill", None), ("log", None), ("deny", "process")])
    def test_not_its_affair(self, action: str, per: str | None) -> None:
        """The kernel tells of signals itself, and a jail's counter says nothing of one process."""
        assert self.watch(action, per).look({"maxproc": 20}, 0) == ()
