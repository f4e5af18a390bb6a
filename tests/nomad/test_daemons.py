"""A start that daemonises: the task is its descendants."""

from __future__ import annotations

import time

from nomad.agent import Agent
from nomad.jobs import job, task


def test_running_until_the_last_descendant_is_gone(agent: Agent) -> None:
    """Main exits 0 at once; the task runs as long as the daemon's own child does, and then ends well."""
    before = agent.snapshot()
    (agent.root / "etc/daemonise").write_text(
        "#!/bin/sh\nsetsid sh -c '(sleep 3; echo last words) & exec sleep 1' </dev/null &\necho started\n"
    )
    body = f'Path = "{agent.root}"\nMount_devfs = true\nExec_start = "sh /etc/daemonise"'
    allocation = agent.run(job(agent.name("daemon"), task(body), kind="batch"))
    allocation.wait_log("started")
    allocation.wait("running")
    begun = time.monotonic()
    while time.monotonic() < begun + 1.5:
        seen = allocation.task()
        assert seen is not None
        assert seen.state == "running"
        time.sleep(0.1)
    ended = allocation.wait("dead")
    assert ended.exit() == (0, 0)
    assert allocation.final_logs().splitlines() == ["started", "last words"]
    agent.wait_clean(before)
    [told] = agent.histories(allocation.id)
    assert told.states == ("pending", "prestart", "running", "prestop", "stopped")
    assert told.exits() == [(0, 0)]
