"""One slow task is nobody else's problem."""

from __future__ import annotations

import time

from nomad.agent import Agent
from nomad.jobs import job, task


def test_a_slow_hook_delays_no_other_task(agent: Agent) -> None:
    """While one task's hook sleeps five seconds, another one starts, is signalled and stops."""
    slow = f'Path = "{agent.root}"\nExec_prestart = "sleep 5"\nExec_start = "echo slow is up"'
    first = agent.run(job(agent.name("slow"), task(slow), kind="batch"))
    begun = time.monotonic()
    body = (
        f'Path = "{agent.root}"\nExec_start = "trap \'echo hup\' HUP; echo up; while :; do sleep 0.1; done"'
    )
    second = agent.run(job(agent.name("quick"), task(body)))
    second.wait("running")
    second.wait_log("up")
    done = agent.cli("alloc", "signal", "-s", "SIGHUP", second.id)
    assert done.returncode == 0, done.stderr
    second.wait_log("hup")
    second.stop()
    took_s = time.monotonic() - begun
    waiting = first.task()
    assert waiting is not None
    assert waiting.state == "pending", f"the slow hook was over after {took_s} s: nothing was shown"
    first.wait("dead")
    assert first.final_logs() == "slow is up\n"
