"""Jails with a network stack of their own: pairs to a bridge, addresses and routes inside."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import TaskSpec
from jail_state.core.lifecycle import State
from net import lab

pytestmark = rig.needs_root
GATEWAY = "192.168.1.9"
"""The outside: em1 is a member of the bridge, so its wire leads there."""


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host with a bridge, as its operator makes it; each test leaves it clean."""
    with rig.host() as made:
        for argv in (
            ("link", "add", "bridge0", "type", "bridge"),
            ("link", "set", "em1", "master", "bridge0"),
            ("link", "set", "bridge0", "up"),
        ):
            made.network.ip(*argv)
        yield made


def bridged(address: str, **more: Any) -> dict[str, Any]:
    """A jail on the bridge."""
    return {"Vnet": True, "Bridge": "bridge0", "Ip4_addr": f"{address}/24", "Gateway": GATEWAY, **more}


def waiting(host: rig.Host, config: dict[str, Any]) -> TaskSpec:
    """A task that stays until it is stopped."""
    return lab.looks(host, "sleep 300", config)


def test_two_bridged_jails_reach_each_other_and_are_reached(host: rig.Host) -> None:
    """The driver makes the pair, the address and the route; nothing of it is there afterwards."""

    async def scenario() -> None:
        before = host.snapshot()
        one = lab.echo(host, "192.168.1.120", "one", **bridged("192.168.1.120"))
        async with rig.plugin(host) as plugin:
            started = await plugin.start(one)
            assert started.network is not None
            assert started.network.ip == "192.168.1.120"
            await lab.answers(host, "192.168.1.120", "one")
            assert host.network.addresses() == before["addresses"]
            [host_end] = set(host.network.interfaces()) - set(before["interfaces"])
            assert host_end.startswith("epair")
            assert host_end.endswith("a")
            client = lab.fetcher(host, "http://192.168.1.120:9999/", **bridged("192.168.1.121"))
            assert (await lab.run(plugin, client)).exit_code == 0
            assert lab.said(client, "page") == "one\n"
            await lab.stop(plugin, one)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_the_inside_is_as_the_job_says(host: rig.Host) -> None:
    """Both families, both default routes, loopback up; and no other interface of the host is seen."""

    async def scenario() -> None:
        before = host.snapshot()
        config = bridged("192.168.1.122", Ip6_addr="fd00:2::2/64", Gateway=[GATEWAY, "fd00:2::1"])
        look = "/usr/sbin/ip -o address; /usr/sbin/ip route; /usr/sbin/ip -6 route"
        spec = lab.looks(host, look, config)
        async with rig.plugin(host) as plugin:
            assert (await lab.run(plugin, spec)).exit_code == 0
        seen = lab.said(spec)
        for line in ("inet 127.0.0.1/8", "inet 192.168.1.122/24", "inet6 fd00:2::2/64"):
            assert line in seen
        assert f"default via {GATEWAY}" in seen
        assert "default via fd00:2::1" in seen
        assert "em1" not in seen
        host.wait_clean(before)

    asyncio.run(scenario())


def test_an_interface_that_hooks_make(host: rig.Host) -> None:
    """Hooks make the pair, the driver moves it in and sets its address; exec.poststop finds it again."""

    async def scenario() -> None:
        before = host.snapshot()
        config = {
            "Vnet": True,
            "Vnet_nic": ["e0b_one", "e0b_two"],
            "Ip4_addr": ["e0b_one|10.1.0.2/24", "e0b_two|10.2.0.2/24"],
            "Exec_prestart": [
                f"ifconfig epair{unit} create && ifconfig epair{unit}b name e0b_{name}"
                for unit, name in ((1, "one"), (2, "two"))
            ],
            "Exec_poststop": ["ifconfig e0b_one destroy", "ifconfig e0b_two destroy"],
        }
        spec = lab.looks(host, "/usr/sbin/ip -o address", config)
        async with rig.plugin(host) as plugin:
            assert (await lab.run(plugin, spec)).exit_code == 0
        assert "10.1.0.2/24" in lab.said(spec)
        assert "10.2.0.2/24" in lab.said(spec)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_missing_bridge_is_named(host: rig.Host) -> None:
    """With the remedy; the pair that was made for it is gone."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = waiting(host, bridged("192.168.1.123", Bridge="bridge9"))
        async with rig.plugin(host) as plugin:
            with pytest.raises(PluginError, match="make it: ifconfig bridge9 create up"):
                await plugin.start(spec)
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_missing_interface_is_named(host: rig.Host) -> None:
    """With the key and what the host has; the jail that was made for it is gone."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = waiting(host, {"Vnet": True, "Vnet_nic": ["e0b_nobody"]})
        async with rig.plugin(host) as plugin:
            with pytest.raises(
                PluginError, match=r'Vnet_nic = "e0b_nobody": this host has no .* it has .*em1'
            ):
                await plugin.start(spec)
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


# Each its own address: nobody announces here that one has moved to another interface, as FreeBSD does.
KILLS = [
    ("after-intent", "epair", "192.168.1.130"),
    ("after-effect", "epair", "192.168.1.131"),
    ("after-effect", "bridge bridge0", "192.168.1.132"),
    ("after-effect", "interface epair", "192.168.1.133"),
    ("after-effect", "inside epair|192.168.1.134", "192.168.1.134"),
    ("after-effect", f"route default {GATEWAY}", "192.168.1.135"),
]


@pytest.mark.parametrize(
    ("point", "step", "address"), KILLS, ids=[f"{step} {point}" for point, step, _ in KILLS]
)
def test_a_start_that_was_killed_there_is_resumed(
    host: rig.Host, point: str, step: str, address: str
) -> None:
    """The repeated start goes on where it was: one pair, one jail, one answer."""

    async def scenario() -> None:
        before = host.snapshot()
        host.plan_faults({"point": point, "step": step, "do": "kill"})
        spec = lab.echo(host, address, "again", **bridged(address))
        first = await rig.launch(host)
        with pytest.raises(PluginError):
            await first.start(spec)
        await first.gone()
        async with rig.plugin(host) as second:
            await second.start(spec)
            await lab.answers(host, address, "again")
            assert len(set(host.network.interfaces()) - set(before["interfaces"])) == 1
            await lab.stop(second, spec)
        host.wait_clean(before)

    asyncio.run(scenario())


@pytest.mark.parametrize("step", ["epair", "interface epair", "epair-destroy epair"])
def test_what_a_crash_left_is_unmade(host: rig.Host, step: str) -> None:
    """A start that nobody repeats, and a teardown that was cut: the pair goes, wherever its ends are."""

    async def scenario() -> None:
        before = host.snapshot()
        host.plan_faults({"point": "after-effect", "step": step, "do": "kill"})
        spec = waiting(host, bridged("192.168.1.125"))
        first = await rig.launch(host)
        with contextlib.suppress(PluginError):
            await first.start(spec)
            await first.client.stop(spec.id, timeout_s=1)
        await first.gone()
        async with rig.plugin(host, recovery_wait="0.2s"):
            await rig.until("stopped", lambda: host.task(spec.id).state is State.STOPPED)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_jail_that_dies_slowly_is_a_named_leftover() -> None:
    """After the bound WaitTask answers, state-dump's data names the jail, and the clean-up goes on."""

    async def scenario(host: rig.Host) -> None:
        before = host.snapshot()
        spec = lab.looks(host, "true", {"Vnet": True, "Vnet_nic": "epair3b"})
        host.tool("ifconfig", "epair3", "create")
        async with rig.plugin(host, teardown_deadline="0.3s") as plugin:
            await plugin.start(spec)
            await asyncio.wait_for(plugin.client.wait(spec.id), 20)
            task = host.task(spec.id)
            assert "jail-gone" in task.leftovers
            assert "dying" in task.records["jail-gone"].error
            await plugin.client.destroy(spec.id)
            await rig.until("no leftover", lambda: not host.task(spec.id).leftovers, 30)
        host.tool("ifconfig", "epair3a", "destroy")
        host.wait_clean(before)

    with rig.host(dying_s=4.0) as made:
        asyncio.run(scenario(made))
