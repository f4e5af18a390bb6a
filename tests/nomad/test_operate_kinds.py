"""Kinds of jobs that need nothing special of a driver: shown with a real agent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from nomad.agent import Agent
from nomad.allocation import Allocation
from nomad.jobs import job, task
from nomad.system import eventually


def body(agent: Agent, command: str) -> str:
    """A config block on the shared root."""
    return f'Path = "{agent.root}"\nExec_start = "{command}"'


def register(agent: Agent, text: str) -> str:
    """Registers a job that may have no allocation at once; its name."""
    parsed = agent.request("POST", "/v1/jobs/parse", {"JobHCL": text, "Canonicalize": True})
    agent.request("POST", "/v1/jobs", {"Job": parsed})
    return str(parsed["ID"])


def allocations(agent: Agent, name: str) -> Sequence[Any]:
    """A job's allocations, the oldest first."""
    return sorted(agent.get(f"/v1/job/{name}/allocations"), key=lambda one: one["CreateIndex"])


def statuses(agent: Agent, name: str) -> list[str]:
    """Their client statuses."""
    return [one["ClientStatus"] for one in allocations(agent, name)]


class TestKinds:
    """Batch, system, sysbatch, periodic."""

    def test_batch(self, agent: Agent) -> None:
        """Runs once, and is complete."""
        allocation = agent.run(job(agent.name("batch"), task(body(agent, "echo done; exit 0")), kind="batch"))
        assert not allocation.wait("dead").failed
        assert statuses(agent, allocation.job) == ["complete"]
        eventually("its log", lambda: allocation.logs() == "done\n")

    def test_a_batch_that_fails_is_tried_again_as_its_policy_says(self, agent: Agent) -> None:
        """Two attempts more, each a jail of its own, and then it has failed."""
        text = job(agent.name("retry"), task(body(agent, "echo try; exit 3")), kind="batch")
        text = text.replace("attempts = 0\n      mode", 'attempts = 2\n      delay = "1s"\n      mode')
        allocation = agent.run(text)
        eventually("failed for good", lambda: statuses(agent, allocation.job) == ["failed"], 60)
        eventually("three lines", lambda: allocation.logs() == "try\n" * 3)
        assert allocation.wait("dead").restarts == 2

    def test_system(self, agent: Agent) -> None:
        """One on the node, until it is stopped."""
        name = agent.name("system")
        text = job(name, task(body(agent, "sleep 600")), kind="system")
        head, _, rest = text.partition("    reschedule {")
        register(agent, head + rest.partition("    }\n")[2])
        eventually("it runs", lambda: statuses(agent, name) == ["running"], 45)
        agent.request("DELETE", f"/v1/job/{name}")
        eventually("it is complete", lambda: statuses(agent, name) == ["complete"], 45)

    def test_sysbatch(self, agent: Agent) -> None:
        """Once on the node."""
        name = agent.name("sysbatch")
        text = job(name, task(body(agent, "echo once; exit 0")), kind="sysbatch")
        head, _, rest = text.partition("    reschedule {")
        register(agent, head + rest.partition("    }\n")[2])
        eventually("it is complete", lambda: statuses(agent, name) == ["complete"], 45)

    def test_periodic(self, agent: Agent) -> None:
        """A child at each turn of the clock, and at once when it is forced."""
        name = agent.name("periodic")
        text = job(name, task(body(agent, "echo tick; exit 0")), kind="batch")
        text = text.replace('type = "batch"', 'type = "batch"\n  periodic {\n    crons = ["0 0 1 1 *"]\n  }')
        register(agent, text)
        forced = agent.cli("job", "periodic", "force", "-detach", name)
        assert forced.returncode == 0, forced.stderr

        def children() -> list[str]:
            return [one["ID"] for one in agent.get(f"/v1/jobs?prefix={name}/periodic")]

        child = eventually("a child", children, 45)[0]
        path = child.replace("/", "%2F")
        eventually("it is complete", lambda: statuses(agent, path) == ["complete"], 45)
        agent.request("DELETE", f"/v1/job/{name}?purge=true")


class TestLifecycle:
    """Prestart, sidecars, poststart and poststop tasks of one group, each in a jail of its own."""

    def test_hooks_in_their_order(self, agent: Agent) -> None:
        """What each leaves in /alloc tells when it ran."""

        def hook(name: str, when: str, command: str, *, sidecar: bool = False) -> str:
            more = f'lifecycle {{\n  hook = "{when}"\n  sidecar = {str(sidecar).lower()}\n}}'
            return task(body(agent, command), name, more)

        note = "echo {0} >> /alloc/data/order"
        tasks = (
            hook("before", "prestart", note.format("before")),
            hook("beside", "prestart", f"{note.format('beside')}; sleep 600", sidecar=True),
            task(
                body(agent, f"while [ ! -e /alloc/data/post ]; do sleep 0.1; done; {note.format('main')}"),
                "main",
            ),
            hook("after", "poststart", f"{note.format('poststart')}; touch /alloc/data/post"),
            hook("last", "poststop", note.format("last")),
        )
        allocation = agent.run(job(agent.name("life"), *tasks, kind="batch"))
        eventually("all have ended", lambda: _ended(allocation, 5), 60)
        order = agent.cli("alloc", "fs", allocation.id, "alloc/data/order").stdout.split()
        assert sorted(order[:2]) == ["before", "beside"]
        assert order[2:] == ["poststart", "main", "last"]
        assert not any(one.failed for one in allocation.tasks().values())


class TestUpdates:
    """Rolling updates and canaries."""

    def test_a_rolling_update_with_a_canary(self, agent: Agent) -> None:
        """The canary runs beside the old ones; promoted, it replaces them; no old jail is left."""
        before = agent.snapshot()
        name = agent.name("canary")
        update = (
            'update {\n  canary = 1\n  max_parallel = 1\n  min_healthy_time = "1s"\n'
            '  healthy_deadline = "1m"\n  progress_deadline = "2m"\n  health_check = "task_states"\n}'
        )

        def version(number: int) -> str:
            text = job(name, task(body(agent, f"echo version {number}; sleep 600")))
            return text.replace('group "g" {', f'group "g" {{\n    count = 2\n{update}')

        register(agent, version(1))
        eventually("two run", lambda: statuses(agent, name).count("running") == 2, 60)
        eventually("the deployment is through", lambda: _deployment(agent, name) == "successful", 60)
        register(agent, version(2))
        eventually("a canary runs beside them", lambda: statuses(agent, name).count("running") == 3, 60)
        eventually("it is healthy", lambda: _promotable(agent, name), 60)
        deployment = agent.get(f"/v1/job/{name}/deployment")["ID"]
        assert agent.cli("deployment", "promote", "-detach", deployment).returncode == 0
        eventually("the deployment is through", lambda: _deployment(agent, name) == "successful", 90)
        running = [one for one in allocations(agent, name) if one["ClientStatus"] == "running"]
        assert [one["JobVersion"] for one in running] == [1, 1]
        agent.request("DELETE", f"/v1/job/{name}")
        eventually("all are complete", lambda: set(statuses(agent, name)) == {"complete"}, 60)
        time.sleep(0.5)
        agent.wait_clean(before)


def _ended(allocation: Allocation, count: int) -> bool:
    tasks = allocation.tasks()
    return len(tasks) == count and all(one.state == "dead" for one in tasks.values())


def _deployment(agent: Agent, name: str) -> str:
    found = agent.get(f"/v1/job/{name}/deployment")
    return str(found["Status"]) if found else ""


def _promotable(agent: Agent, name: str) -> bool:
    group = agent.get(f"/v1/job/{name}/deployment")["TaskGroups"]["g"]
    return bool(group["PlacedCanaries"]) and group["HealthyAllocs"] >= 1
