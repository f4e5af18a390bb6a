"""Why main died: a fact, a probability, or nothing of the kind."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core_builders import UP, planned, running
from jail_driver.engine.evidence import Evidence
from jail_state.core import events as ev
from jail_state.core.ids import ProcessIdentity
from jail_state.core.steps import Phase, Step, StepKind
from jail_state.core.task import Task

MAIN = 42
KILLED = ev.MainExited(exit_code=-1, signal=9)


def rule(action: str, amount: str) -> Step:
    """Returns the step of a memory limit."""
    args = {"resource": "memoryuse", "action": action, "amount": amount, "per": None}
    return Step(f"rule {action}={amount}", StepKind.RULE, Phase.RULE, args)


class Actor:
    """A task that notes what it is told."""

    def __init__(self, *rules: Step) -> None:
        others = tuple(step for step in UP if step.kind is not StepKind.RULE)
        main = ProcessIdentity(MAIN, 4200, "boot-1")
        self.task: Task = replace(running(), plan=planned(steps=(*others, *rules)), main=main)
        self.told: list[str] = []

    async def settle(self, verdict: Callable[[Task], tuple[Any, ...]]) -> None:
        """Takes notices."""
        self.told += [event.text for event in verdict(self.task)]


class Kernel:
    """What devd's socket says."""

    def __init__(self, path: Path, *rules: Step) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.actor = Actor(*rules)
        self.evidence = Evidence(lambda: [self.actor], str(path), device=False)
        self.evidence.listen_for(self.actor.task)
        self.connection, _ = self.listener.accept()

    def matched(self, pid: int, amount: int = 1 << 20) -> None:
        """Tells of a match."""
        name = self.actor.task.plan.jail_name
        rule_text = f"jail:{name}:memoryuse:devctl={amount}"
        self.connection.send(
            f"!system=RCTL subsystem=rule type=matched rule={rule_text} pid={pid} ruid=0 jail={name}\n".encode()
        )

    async def told(self, count: int) -> list[str]:
        """Waits for notices."""
        for _ in range(300):
            if len(self.actor.told) >= count:
                break
            await asyncio.sleep(0.01)
        return self.actor.told


@pytest.fixture
def path() -> Iterator[Path]:
    """A short path for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory, "devd")


def run(path: Path, scenario: Callable[[Kernel], Awaitable[None]], *rules: Step) -> None:
    """Runs a scenario over a task with these limits."""

    async def inner() -> None:
        kernel = Kernel(path, *(rules or (rule("sigkill", "1M"), rule("devctl", "1M"))))
        try:
            await scenario(kernel)
        finally:
            kernel.evidence.close()
            kernel.connection.close()
            kernel.listener.close()

    asyncio.run(inner())


def test_a_reason_that_comes_after_the_end(path: Path) -> None:
    """The supervisor may be faster than devd: the reason is waited for a moment."""

    async def scenario(kernel: Kernel) -> None:
        asking = asyncio.ensure_future(kernel.evidence.ask(kernel.actor.task, KILLED))
        await asyncio.sleep(0.1)
        assert not asking.done()
        kernel.matched(MAIN)
        assert await asking == replace(KILLED, oom_killed=True)
        assert kernel.evidence.doubt(kernel.actor.task, replace(KILLED, oom_killed=True)) == ()
        assert kernel.actor.told == []

    run(path, scenario)


def test_another_process_is_an_event(path: Path) -> None:
    """A worker's death is told with its number, and main's own end later is not taken for it."""

    async def scenario(kernel: Kernel) -> None:
        kernel.matched(99)
        assert await kernel.told(1) == [
            "process 99 of the task was killed at the memory limit (memoryuse 1048576)"
        ]
        assert await kernel.evidence.ask(kernel.actor.task, KILLED) == KILLED
        assert kernel.evidence.doubt(kernel.actor.task, KILLED) == ()

    run(path, scenario)


def test_a_warning_is_no_kill(path: Path) -> None:
    """A devctl rule of a smaller amount tells of main, but does not kill it."""

    async def scenario(kernel: Kernel) -> None:
        kernel.matched(MAIN, amount=1 << 19)
        [said] = await kernel.told(1)
        assert said == f"process {MAIN} of the task reached a limit (memoryuse 524288)"
        assert await kernel.evidence.ask(kernel.actor.task, KILLED) == KILLED

    run(path, scenario, rule("sigkill", "1M"), rule("devctl", "1M"), rule("devctl", "512K"))


def test_other_ends_are_left_alone(path: Path) -> None:
    """An exit status, or another signal, is never the limit's, whatever was heard before."""

    async def scenario(kernel: Kernel) -> None:
        kernel.matched(MAIN)
        await asyncio.sleep(0.1)
        for other in (ev.MainExited(exit_code=137), ev.MainExited(-1, signal=15)):
            assert await kernel.evidence.ask(kernel.actor.task, other) == other
            assert kernel.evidence.doubt(kernel.actor.task, other) == ()

    run(path, scenario)


def test_a_flood_is_one_notice(path: Path) -> None:
    """A rule that matches again and again does not fill the journal."""

    async def scenario(kernel: Kernel) -> None:
        for pid in range(100, 150):
            kernel.matched(pid)
            await asyncio.sleep(0)
        await kernel.told(1)
        await asyncio.sleep(0.2)
        assert len(kernel.actor.told) == 1

    run(path, scenario)


def test_nobody_listened(path: Path) -> None:
    """Without a connection it is probable, with the reason; a stop that was asked for is no riddle."""

    async def scenario(kernel: Kernel) -> None:
        kernel.connection.close()
        kernel.listener.close()
        await asyncio.sleep(0.1)
        task = kernel.actor.task
        assert await kernel.evidence.ask(task, KILLED) == KILLED
        [notice] = kernel.evidence.doubt(task, KILLED)
        assert notice.text == (
            "main was killed by signal 9, probably at its memory limit (memoryuse 1048576); nothing proves it:"
            " devd ended"
        )
        stopped = replace(task, stop=ev.StopRequested("Nomad", "SIGKILL", 1.0))
        assert kernel.evidence.doubt(stopped, KILLED) == ()

    run(path, scenario)
