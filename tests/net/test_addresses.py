"""Addresses on the host's interfaces: made, shared, left alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import Port, Resources
from jail_state.core.events import NoticeGiven
from jail_state.core.lifecycle import State
from net import lab

pytestmark = rig.needs_root
HOST_ADDRESS = "192.168.1.1"


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


def test_two_services_reach_each_other_and_are_reached(host: rig.Host) -> None:
    """Each on its own address; a client outside and a neighbour inside get the right one."""

    async def scenario() -> None:
        before = host.snapshot()
        first, second = "192.168.1.102", "192.168.1.103"
        one = lab.echo(host, first, "one", Ip4_addr=f"em1|{first}")
        two = lab.echo(host, second, "two", Ip4_addr=[f"em1|{second}/32"])
        async with rig.plugin(host) as plugin:
            started = await plugin.start(one)
            assert started.network is not None
            assert (started.network.ip, started.network.auto_advertise) == (first, True)
            await plugin.start(two)
            await lab.answers(host, first, "one")
            await lab.answers(host, second, "two")
            client = lab.fetcher(host, f"http://{second}:9999/", Ip4_addr="em1|192.168.1.104")
            assert (await lab.run(plugin, client)).exit_code == 0
            assert lab.said(client, "page") == "two\n"
            for spec in (one, two):
                await lab.stop(plugin, spec)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_both_families_and_the_interface_of_nic(host: rig.Host) -> None:
    """IPv6 as IPv4; Nic stands for the interface that an address does not name; all are removed."""

    async def scenario() -> None:
        before = host.snapshot()
        config = {"Nic": "em1", "Ip4_addr": "192.168.1.105,192.168.1.106", "Ip6_addr": "fd00:1::5/64"}
        spec = lab.looks(host, "sleep 60", config)
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            made = set(host.network.addresses()) - set(before["addresses"])
            assert made == {"em1 192.168.1.105/32", "em1 192.168.1.106/32", "em1 fd00:1::5/64"}
            await lab.stop(plugin, spec)
        host.wait_clean(before)

    asyncio.run(scenario())


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_an_address_of_the_host_keeps_its_mask_and_its_route(host: rig.Host, way: str) -> None:
    """It is used as it is, whatever the job's mask, and never removed: its connected route stays."""

    async def scenario() -> None:
        before = host.snapshot()
        assert any("192.168.1.0/24" in route for route in before["routes"])
        spec = lab.echo(host, HOST_ADDRESS, "host", Ip4_addr=f"em1|{HOST_ADDRESS}")
        plugin = await rig.launch(host)
        await plugin.start(spec)
        await lab.answers(host, HOST_ADDRESS, "host")
        assert (host.network.addresses(), host.network.routes()) == (before["addresses"], before["routes"])
        if way == "stop":
            await lab.stop(plugin, spec)
        await plugin.kill()
        async with rig.plugin(host) as next_one:
            if way == "kill":
                await lab.stop(next_one, spec)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_sharing_follows_the_kernels_rule(host: rig.Host) -> None:
    """Jails that have only that one address share it, the last takes it away; another is refused by name."""

    async def scenario() -> None:
        before = host.snapshot()
        address = "em1|192.168.1.107"
        one, two = (lab.looks(host, "sleep 60", {"Ip4_addr": address}) for _ in range(2))
        many = lab.looks(host, "sleep 60", {"Ip4_addr": [address, "em1|192.168.1.108"]})
        async with rig.plugin(host) as plugin:
            await plugin.start(one)
            await plugin.start(two)
            with pytest.raises(PluginError) as refused:
                await plugin.start(many)
            assert "192.168.1.107 is in use by task web of job job" in str(refused.value)
            assert f"allocation {one.alloc_id}" in str(refused.value) or two.alloc_id in str(refused.value)
            await plugin.client.destroy(many.id)
            await lab.stop(plugin, one)
            assert "em1 192.168.1.107/32" in host.network.addresses()
            assert "em1 192.168.1.108/32" not in host.network.addresses()
            await lab.stop(plugin, two)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_leftover_of_our_own_does_not_block_the_next(host: rig.Host) -> None:
    """A task that could not remove its address names it; the next one uses it; the clean-up goes on."""

    async def scenario() -> None:
        before = host.snapshot()
        config = {"Ip4_addr": "em1|192.168.1.109"}
        dead, heir = lab.looks(host, "true", config), lab.looks(host, "sleep 60", config)
        key = "address-remove address em1|192.168.1.109"
        barrier = {"command": "ifconfig", "match": "192.168.1.109 -alias", "fail": 1, "words": "ifconfig: no"}
        async with rig.plugin(host, teardown_deadline="0.2s") as plugin:
            host.barriers(barrier)
            try:
                await plugin.start(dead)
                await asyncio.wait_for(plugin.client.wait(dead.id), 30)
                assert host.task(dead.id).leftovers == (key,)
                await plugin.start(heir)
            finally:
                host.barriers()
            await lab.stop(plugin, heir)
            await plugin.client.destroy(dead.id)
            await rig.until("no leftover", lambda: not host.task(dead.id).leftovers)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_stranger_address_is_used_and_left(host: rig.Host) -> None:
    """What nobody's journal knows is not ours: it is there before and after, with its own mask."""

    async def scenario() -> None:
        host.network.ip("address", "add", "192.168.1.110/25", "dev", "em1")
        try:
            before = host.snapshot()
            spec = lab.looks(host, "sleep 60", {"Ip4_addr": "em1|192.168.1.110/32"})
            async with rig.plugin(host) as plugin:
                await plugin.start(spec)
                await lab.stop(plugin, spec)
            host.wait_clean(before)
        finally:
            host.network.ip("address", "del", "192.168.1.110/25", "dev", "em1")

    asyncio.run(scenario())


def test_a_missing_interface_is_named(host: rig.Host) -> None:
    """The start fails with the key, and what the host has instead, and leaves nothing."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = lab.looks(host, "true", {"Ip4_addr": ["em1|192.168.1.111", "em9|192.168.1.112"]})
        async with rig.plugin(host) as plugin:
            with pytest.raises(
                PluginError,
                match=r'Ip4_addr = "em9\|192.168.1.112": this host has no interface em9; it has .*em1',
            ):
                await plugin.start(spec)
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)
        assert host.task(spec.id).state is State.STOPPED

    asyncio.run(scenario())


def outside(host: rig.Host, address: str) -> None:
    """Give the machine at the other end of the wire an IPv6 address."""
    with host.network.entered(outside=True):
        subprocess.run(["ip", "-6", "address", "add", address, "dev", "wire", "nodad"], check=True)


def test_an_ipv6_address_is_usable_at_once(host: rig.Host) -> None:
    """The kernel looks for duplicates first: main starts once a service can bind the address, and answers there."""

    async def scenario() -> None:
        before = host.snapshot()
        address = "fd00:1::6"
        host.network.ip("-6", "address", "add", "fd00:1::1/64", "dev", "em1", "nodad")
        try:
            outside(host, "fd00:1::9/64")
            spec = lab.echo(host, f"[{address}]", "six", Ip6_addr=f"em1|{address}/64")
            env = {"NOMAD_ADDR_http": "127.0.0.1:9", "NOMAD_IP_http": "127.0.0.1"}
            spec = replace(spec, env=env, resources=Resources(ports=(Port("http", 9, 9999, "127.0.0.1"),)))
            async with rig.plugin(host) as plugin:
                started = await plugin.start(spec)
                assert started.network is not None
                assert started.network.ip == address
                await lab.answers(host, address, "six")
                await lab.stop(plugin, spec)
        finally:
            host.network.ip("-6", "address", "del", "fd00:1::1/64", "dev", "em1")
        host.wait_clean(before)

    asyncio.run(scenario())


def test_an_ipv6_address_that_another_machine_has(host: rig.Host) -> None:
    """The start is refused with the reason, and the address is taken away again."""

    async def scenario() -> None:
        before = host.snapshot()
        outside(host, "fd00:1::8/64")
        spec = lab.looks(host, "true", {"Ip6_addr": "em1|fd00:1::8/64"})
        async with rig.plugin(host) as plugin:
            with pytest.raises(PluginError, match="another machine on this network has fd00:1::8 already"):
                await plugin.start(spec)
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_ports_of_a_jail_without_an_address(host: rig.Host) -> None:
    """jail(8) gives such a jail no network at all: the task's events say what to write."""

    async def scenario() -> None:
        resources = Resources(ports=(Port("http", 23456, 80, "10.0.0.1"),))
        words = {}
        for name, config in (
            ("none", {}),
            ("inherit", {"Ip4": "inherit"}),
            ("own", {"Ip4_addr": HOST_ADDRESS}),
        ):
            spec = lab.looks(host, "true", config, resources=resources)
            async with rig.plugin(host) as plugin:
                await plugin.start(spec)
                await asyncio.wait_for(plugin.client.wait(spec.id), 30)
                await plugin.client.destroy(spec.id)
            events = [one.event for one in host.history(spec.id)]
            words[name] = [event.text for event in events if isinstance(event, NoticeGiven)]
        assert [text for text in words["none"] if "jail(8) gives a jail no network" in text]
        assert (words["inherit"], words["own"]) == ([], [])

    asyncio.run(scenario())


def test_the_variables_of_ports_name_the_own_address(host: rig.Host) -> None:
    """NOMAD_IP, ADDR, PORT and their HOST_ forms say where the task is reached; others' stay."""

    async def scenario() -> None:
        given = {"IP": "10.0.0.1", "HOST_IP": "10.0.0.1", "ADDR": "10.0.0.1:23456", "PORT": "80"}
        given |= {"HOST_ADDR": "10.0.0.1:23456", "HOST_PORT": "23456"}
        env = {f"NOMAD_{name}_web_ui": value for name, value in given.items()}
        env["NOMAD_ADDR_other_db"] = "10.0.0.1:5432"
        port = Port("web-ui", 23456, 80, "10.0.0.1")
        resources = Resources(ports=(port,))
        command = (
            f"{lab.demo_root.survey().interpreter} -c 'import os, json; print(json.dumps(dict(os.environ)))'"
        )
        for config, ip in (({"Ip4_addr": "em1|192.168.1.113"}, "192.168.1.113"), ({}, None)):
            spec = lab.looks(host, command, config, env=env, resources=resources)
            async with rig.plugin(host) as plugin:
                started = await plugin.start(spec)
                assert (started.network and started.network.ip) == ip
                assert started.network is None or dict(started.network.port_map) == {"web-ui": 80}
                await asyncio.wait_for(plugin.client.wait(spec.id), 30)
                await plugin.client.destroy(spec.id)
            seen = {name: value for name, value in json.loads(lab.said(spec)).items() if name in env}
            own = {"IP": ip, "HOST_IP": ip, "ADDR": f"{ip}:80", "HOST_ADDR": f"{ip}:80"}
            own |= {"PORT": "80", "HOST_PORT": "80"}
            expected = {f"NOMAD_{name}_web_ui": value for name, value in own.items()} if ip else env
            assert seen == {**expected, "NOMAD_ADDR_other_db": "10.0.0.1:5432"}

    asyncio.run(scenario())
