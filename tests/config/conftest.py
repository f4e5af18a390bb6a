"""What FreeBSD 15.1 answered, recorded, for the tests of the configuration."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.worlds import WORLDS, World
from jail_driver.config.task import KernelFacts

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def kernel() -> KernelFacts:
    """The parameters of a 15.1 kernel with the linux module, without zfs, vmm and fusefs."""
    lines = (HERE / "params_15_1.txt").read_text().splitlines()
    names = frozenset(line for line in lines if line and not line.startswith("#"))
    return KernelFacts.from_sysctl(names, "15.1-STABLE")


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """One of the hosts of the contract suite."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(WORLDS[request.param](tmp_path.resolve()))
