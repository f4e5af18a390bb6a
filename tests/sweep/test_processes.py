"""A small part of the process sweep: real plugins, helpers and supervisors, really killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import rig
from sweep.schedule import Schedule, carry_out
from sweep.schedules import SAMPLE

pytestmark = [rig.needs_root, pytest.mark.sweep]


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """A host on which removed jails stay dying for a while."""
    with rig.host(dying_s=0.3) as made:
        yield made


@pytest.mark.parametrize("schedule", SAMPLE, ids=str)
def test_whatever_is_killed(host: rig.Host, schedule: Schedule) -> None:
    """One main at most, each hook once, the true status, a clean host, a closed history."""
    assert carry_out(host, schedule) == []
