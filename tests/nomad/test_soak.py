"""Random kills of plugin, agent and both, round after round, over a mix of service and batch tasks.

``SWEEP_ROUNDS`` sets the number of rounds; ``make sweep`` asks for 200.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jail_state.core.events import TaskRecovered
from jail_state.store.readonly import ReadOnlyStore
from nomad.agent import Agent
from nomad.allocation import Allocation
from nomad.conftest import running_agent
from nomad.jobs import job, task
from nomad.kills import kill_agent, kill_both, kill_plugin
from nomad.system import eventually, eventually_equal, rooted_below

ROUNDS = int(os.environ.get("SWEEP_ROUNDS", "3"))
SERVICES, BATCHES = 12, 8
_HASTY = 0.3
"""How often a start is under way when the kill comes."""
_ANSWER_S = 0.3
"""The journal has a recovery this much before Nomad has the answer, at most."""
_LOOP = "while [ ! -e /alloc/end ]; do sleep 0.3; done"

pytestmark = [
    pytest.mark.sweep,
    pytest.mark.slow,
]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch task that is running: it ends by itself, with a code that is known before."""

    allocation: Allocation
    code: int
    settled: bool = True
    """Whether its start was through before anything was killed."""


@pytest.fixture
def agent() -> Iterator[Agent]:
    """An agent of its own: it dies many times."""
    with running_agent() as agent:
        yield agent


def data(agent: Agent, allocation: Allocation) -> Path:
    """What the task sees as /alloc."""
    return agent.base / "data/alloc" / allocation.id / "alloc"


def start_service(agent: Agent) -> Allocation:
    """Start a task that runs until it is stopped."""
    body = f'Path = "{agent.root}"\nExec_start = "echo $$ >> /alloc/runs; {_LOOP}"'
    return agent.run(job(agent.name("service"), task(body)))


def start_batch(agent: Agent, chance: random.Random) -> Batch:
    """Start a task that ends after a while with a code between 0 and 9."""
    code, ticks = chance.randrange(10), chance.randrange(5, 80)
    work = f"n=0; while [ $n -lt {ticks} ]; do n=$((n+1)); sleep 0.3; done; exit {code}"
    body = f'Path = "{agent.root}"\nExec_start = "echo $$ >> /alloc/runs; {work}"'
    return Batch(agent.run(job(agent.name("batch"), task(body), kind="batch")), code)


def recoveries(agent: Agent) -> dict[str, int]:
    """How often Nomad asked for each task back, as the journal tells it."""
    histories = ReadOnlyStore(agent.state / "events.db").every()
    return {
        stream: sum(isinstance(one.event, TaskRecovered) and "Nomad" in one.event.how for one in history)
        for stream, history in histories.items()
    }


def wait_recovered(agent: Agent, allocations: list[Allocation], before: dict[str, int]) -> None:
    """Wait until Nomad has its tasks back, or knows their end.

    Nomad tries that once: where the next plugin dies before it, Nomad itself gives the task up.
    """
    streams = {stream: one for stream in before for one in allocations if stream.startswith(one.id)}

    def back() -> bool:
        now = recoveries(agent)
        waited = [stream for stream in streams if now.get(stream, 0) <= before[stream]]
        return all(is_dead(streams[stream]) for stream in waited)

    eventually("Nomad has its tasks back", back, timeout_s=60, every_s=0.2)
    time.sleep(_ANSWER_S)


def is_dead(allocation: Allocation) -> bool:
    """Whether Nomad knows that its task has ended."""
    seen = allocation.task()
    return seen is not None and seen.state == "dead"


KILLS: tuple[Callable[[Agent], None], ...] = (kill_plugin, kill_plugin, kill_agent, kill_both)


def check_service(agent: Agent, allocation: Allocation) -> None:
    """It runs, nobody restarted it, and its main ran once."""
    seen = allocation.wait("running")
    assert (seen.restarts, seen.failed) == (0, False), allocation.told()
    assert len((data(agent, allocation) / "runs").read_text().split()) == 1, allocation.told()


def has_begun(batch: Batch) -> bool:
    """Whether Nomad knows that it runs, or has run."""
    seen = batch.allocation.task()
    return seen is not None and seen.state != "pending"


def wait_begun(batch: Batch) -> None:
    """Wait until Nomad knows that it runs, or has run; else say what it knows instead."""
    try:
        eventually("a batch task's start", lambda: has_begun(batch))
    except AssertionError as error:
        raise AssertionError(f"{error}: {batch}\n{batch.allocation.told()}") from None


def check_batch(agent: Agent, batch: Batch) -> bool:
    """Whether it has ended; then its code is true, and it ran once."""
    seen = batch.allocation.task()
    if seen is None or seen.state != "dead":
        return False
    terminated = seen.event("Terminated")
    if terminated is None and not batch.settled:
        # Killed in the middle of StartTask: Nomad itself may give up before the next plugin is there.
        assert "driver exited unexpectedly" in seen.messages, batch.allocation.told()
        return True
    assert terminated is not None, batch.allocation.told()
    assert (terminated["ExitCode"], terminated["Signal"]) == (batch.code, 0), batch.allocation.told()
    assert seen.restarts == 0, batch.allocation.told()
    runs = (data(agent, batch.allocation) / "runs").read_text().split()
    # An agent that dies in the middle of StartTask knows nothing of it, and starts the task under a new id;
    # the older one is fenced first.
    starts = (
        1 if batch.settled else len([one for one in recoveries(agent) if one.startswith(batch.allocation.id)])
    )
    assert len(runs) <= starts, batch.allocation.told()
    return True


@pytest.mark.timeout(60 + 40 * ROUNDS + 600)
def test_random_kills(agent: Agent) -> None:
    """No restart that nobody asked for, all exit codes true, the host clean."""
    chance = random.Random(6)  # noqa: S311  # a repeatable choice, no secret
    before = agent.snapshot_without_processes()
    services = [start_service(agent) for _ in range(SERVICES)]
    batches = [start_batch(agent, chance) for _ in range(BATCHES)]
    done: Counter[str] = Counter()
    began = time.monotonic()
    for allocation in services:
        allocation.wait("running")
        eventually("main runs", (data(agent, allocation) / "runs").exists)
    for _ in range(ROUNDS):
        for batch in batches:
            wait_begun(batch)
        if chance.random() < _HASTY:
            batches.append(replace(start_batch(agent, chance), settled=False))
            time.sleep(chance.random())
        kill = chance.choice(KILLS)
        before_kill = recoveries(agent)
        kill(agent)
        agent.wait_healthy()
        wait_recovered(agent, [*services, *(one.allocation for one in batches if one.settled)], before_kill)
        done[kill.__name__] += 1
        for allocation in services:
            check_service(agent, allocation)
        ended = [batch for batch in batches if check_batch(agent, batch)]
        done["batches"] += len(ended)
        batches = [batch for batch in batches if batch not in ended]
        batches += [start_batch(agent, chance) for _ in range(BATCHES - len(batches))]
        print(round(time.monotonic() - began), json.dumps(done), flush=True)  # noqa: T201  # progress of a long run
    for batch in batches:
        eventually("a batch task's end", lambda batch=batch: check_batch(agent, batch), timeout_s=90)
    for allocation in services:
        allocation.stop()
    eventually("nothing jailed", lambda: not rooted_below(agent.base))
    eventually_equal("the host", agent.snapshot_without_processes, before)
