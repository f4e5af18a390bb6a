"""Many starts, stops and kills of tasks that use everything; the host's tables must not change.

``PYTHONPATH=tests python tests/sweep/figures.py cycles`` does it at length (as root); the tests do a few rounds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import Dns, TaskSpec
from net import lab

SHARED = "192.168.1.150"
POINTS = (
    ("after-intent", "address em1|192.168.1.150"),
    ("after-effect", "mount /local"),
    ("after-effect", "epair"),
    ("after-effect", "jail"),
    ("after-effect", "main"),
    ("after-effect", "unmount mount /alloc"),
)
"""Where the plugin is killed, in turn: on the way up and on the way down."""


def prepare(host: rig.Host) -> None:
    """Make the bridge that half of the tasks join."""
    host.network.ip("link", "add", "bridge0", "type", "bridge")
    host.network.ip("link", "set", "bridge0", "up")


def spec(host: rig.Host, number: int) -> TaskSpec:
    """One of two kinds: an address and files of its own, or a network of its own."""
    config: Mapping[str, Any] = {"Ip4_addr": f"em1|{SHARED}", "Hosts": ["192.0.2.5 db"]}
    if number % 2:
        config = {"Vnet": True, "Bridge": "bridge0", "Ip4_addr": "10.5.0.2/24", "Gateway": "10.5.0.1"}
    return lab.looks(host, "sleep 300", {"Mount_devfs": True, **config}, dns=Dns(("192.0.2.53",), (), ()))


async def round_of(host: rig.Host, number: int) -> None:
    """Start, kill the plugin somewhere, start again where it was, stop."""
    point, step = POINTS[number // 2 % len(POINTS)]
    host.plan_faults({"point": point, "step": step, "do": "kill"})
    task = spec(host, number)
    first = await rig.launch(host)
    with contextlib.suppress(PluginError):
        await first.start(task)
        await lab.stop(first, task)
    if first.process.status is None and host.faults.with_suffix(".fired").exists():
        await first.gone()
    elif first.process.status is None:
        await first.kill()  # this kind of task has no such step
    host.faults.unlink()
    async with rig.plugin(host) as second:
        with contextlib.suppress(PluginError):  # it was over before the kill
            await second.start(task)
        await lab.stop(second, task)


async def cycles(host: rig.Host, rounds: int) -> None:
    """Do many rounds; the snapshot of each is that of the first moment.

    Raises:
        AssertionError: something is left, or missing.
    """
    before = host.snapshot()
    for number in range(rounds):
        await round_of(host, number)
        host.wait_clean(before)
