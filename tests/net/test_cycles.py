"""Mount, address, route and interface tables are identical before and after many lives."""

from __future__ import annotations

import asyncio

import pytest

import rig
from net import cycles

pytestmark = rig.needs_root
ROUNDS = 12
"""Each point of the kills once for each kind of task; ``make sweep`` does 200."""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_cycles_of_start_kill_and_stop() -> None:
    """With an address or a network of their own, with files and devices, killed on the way up and down."""
    with rig.host() as host:
        cycles.prepare(host)
        asyncio.run(cycles.cycles(host, ROUNDS))
