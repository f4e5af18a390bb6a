"""Tasks outlive the plugin, the agent and both; what they did meanwhile is told as it was."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from nomad.agent import Agent
from nomad.allocation import Allocation
from nomad.jobs import job, task
from nomad.kills import kill_agent, kill_both, kill_plugin, restart_agent, restart_without_tools
from nomad.system import eventually, eventually_equal, rooted_below, started_ticks

TICKING = "echo pid $$; n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.2; done"


def run_ticking(agent: Agent) -> Allocation:
    """Starts a task that tells its pid and then counts."""
    body = f'Path = "{agent.root}"\nExec_start = "{TICKING}"'
    allocation = agent.run(job(agent.name("tick"), task(body)))
    allocation.wait("running")
    allocation.wait_log("tick 1")
    return allocation


def identity(agent: Agent, allocation: Allocation) -> tuple[int, int, list[int]]:
    """Main's pid and start time, and the ids of the jails on the host."""
    pid = int(allocation.logs().split()[1])
    seen = json.loads(agent.tool("jls", "--libxo", "json", "jid"))
    return pid, started_ticks(pid), [int(jail["jid"]) for jail in seen["jail-information"]["jail"]]


def numbers(allocation: Allocation) -> list[int]:
    """The counts in the log."""
    return [int(line.split()[1]) for line in allocation.logs().splitlines() if line.startswith("tick")]


class TestRunning:
    """A task that runs meanwhile."""

    @pytest.mark.parametrize(
        "crash", [kill_plugin, kill_agent, kill_both, restart_agent, restart_without_tools]
    )
    def test_goes_on(self, mortal: Agent, crash: Callable[[Agent], None]) -> None:
        """The same process, the same jail, no restart counted, no line of log lost or repeated."""
        before = mortal.snapshot_without_processes()
        allocation = run_ticking(mortal)
        old = identity(mortal, allocation)
        crash(mortal)
        mortal.wait_healthy()
        reached = numbers(allocation)[-1]
        eventually("the log goes on", lambda: numbers(allocation)[-1] > reached + 5)
        assert identity(mortal, allocation) == old
        seen = allocation.task()
        assert seen is not None
        assert (seen.state, seen.restarts, seen.failed) == ("running", 0, False)
        counted = numbers(allocation)
        assert counted == list(range(1, len(counted) + 1))
        allocation.stop()
        [history] = mortal.histories(allocation.id)
        assert history.states == ("pending", "prestart", "running", "prestop", "stopped")
        assert "task-recovered" in history.names
        eventually_equal("the host", mortal.snapshot_without_processes, before)


class TestEnded:
    """A task that ends while nobody looks."""

    @pytest.mark.parametrize("plugin_too", [True, False], ids=["both dead", "agent dead"])
    def test_it_is_reported_once(self, mortal: Agent, *, plugin_too: bool) -> None:
        """It is reported with its 7 and not run again."""
        before = mortal.snapshot_without_processes()
        command = "echo run >> /alloc/data/runs; while [ ! -e /alloc/data/end ]; do sleep 0.1; done; exit 7"
        body = f'Path = "{mortal.root}"\nExec_start = "{command}"'
        allocation = mortal.run(job(mortal.name("seven"), task(body), kind="batch"))
        allocation.wait("running")
        data = mortal.base / "data/alloc" / allocation.id / "alloc/data"
        eventually("main runs", (data / "runs").exists)
        plugin = mortal.plugin_pid()
        mortal.kill()
        if plugin_too:
            mortal.end(plugin)
        (data / "end").touch()
        eventually("main ended", lambda: not rooted_below(mortal.base))
        mortal.start()
        ended = allocation.wait("dead")
        assert ended.exit() == (7, 0)
        assert (data / "runs").read_text() == "run\n"
        assert ended.restarts == 0
        [told] = mortal.histories(allocation.id)
        assert told.exits() == [(7, 0)]
        eventually_equal("the host", mortal.snapshot_without_processes, before)
