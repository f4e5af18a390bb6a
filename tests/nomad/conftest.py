"""Fixtures of the tests that need a real Nomad agent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nomad.agent import Agent


def missing() -> str:
    """What the host lacks for a real agent; empty if nothing."""
    if not Path("/proc/self/mountinfo").exists():
        return "these tests read leaks from Linux's /proc"
    if os.geteuid() != 0:
        return "a Nomad client that starts jails needs root"
    if shutil.which("nomad") is None:
        return "no `nomad` on PATH: https://developer.hashicorp.com/nomad/install"
    if shutil.which("ip") is None:
        return "no `ip` on PATH: apt-get install iproute2"
    return ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks everything here, says once per test what is missing, and leaves the long sweep to its own target."""
    reason = missing()
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.nomad)
        item.add_marker(pytest.mark.timeout(180))
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
    if "SWEEP_ROUNDS" not in os.environ:
        sweep = [item for item in ours if item.get_closest_marker("sweep")]
        config.hook.pytest_deselected(items=sweep)
        items[:] = [item for item in items if item not in sweep]


@contextmanager
def running_agent() -> Iterator[Agent]:
    """A healthy agent, and nothing left of it afterwards."""
    agent = Agent()
    try:
        agent.install()
        agent.start()
        agent.wait_healthy()
        yield agent
    finally:
        agent.close()


@pytest.fixture(scope="session")
def agent() -> Iterator[Agent]:
    """One agent for all tests of a worker that leave it alive."""
    with running_agent() as agent:
        yield agent


@pytest.fixture(scope="session")
def mortal() -> Iterator[Agent]:
    """Another one for the tests that kill it; they leave it running."""
    with running_agent() as agent:
        yield agent
