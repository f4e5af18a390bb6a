"""Every key of the table that the stand-in's kernel has, set and read back from the jail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.config.keys import KEYS
from jail_driver.config.kinds import Fate, Key, Kind

pytestmark = rig.needs_root
APART = {"Vnet", "Children_max", "Jid"}
"""Keys that exclude others, and are tested alone."""


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


@pytest.fixture(scope="module")
def known(host: rig.Host) -> frozenset[str]:
    """The parameters of the stand-in's kernel."""
    lines = host.tool("sysctl", "-N", "security.jail.param").split()
    return frozenset(line.removeprefix("security.jail.param.").rstrip(".") for line in lines)


def keys(kind: Kind, known: frozenset[str]) -> list[Key]:
    """The rows of a kind that go to the kernel as they are."""
    return [
        key
        for key in KEYS
        if key.kind is kind and key.fate is Fate.WORKS and key.param in known and key.name not in APART
    ]


def set_on_a_jail(host: rig.Host, config: Mapping[str, Any]) -> Mapping[str, str]:
    """Starts a jail with these keys, and returns what the kernel holds."""

    async def scenario() -> Mapping[str, str]:
        before = host.snapshot()
        spec = host.spec({"Persist": True, **config})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            jid = host.task(spec.id).jid
            record = json.loads((host.tools / f"registry/jails/{jid}/record").read_text())
            await plugin.client.stop(spec.id, timeout_s=1, signal="SIGKILL")
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)
        return {**record["params"], "jid": str(record["jid"])}

    return asyncio.run(scenario())


@pytest.mark.parametrize("on", [True, False])
def test_flags(host: rig.Host, known: frozenset[str], on: bool) -> None:  # noqa: FBT001  # pytest's parameter
    """Each boolean can be turned on and off."""
    flags = keys(Kind.FLAG, known)
    assert len(flags) > 10
    held = set_on_a_jail(host, {key.name: on for key in flags} | {"Enforce_statfs": 1})
    assert {key.param: held.get(str(key.param)) for key in flags} == {
        key.param: str(on).lower() for key in flags
    }


def test_numbers_and_choices(host: rig.Host, known: frozenset[str]) -> None:
    """The largest number of each, and the last word of each choice, arrive."""
    numbers = {key.name: key.high for key in keys(Kind.INT, known)}
    choices = {key.name: "new" for key in keys(Kind.CHOICE, known) if key.name not in {"Ip4", "Ip6"}}
    assert len(numbers) > 3
    assert choices
    held = set_on_a_jail(host, numbers | choices)
    by_name = {key.name: key.param for key in KEYS}
    for name, value in (numbers | choices).items():
        assert held.get(str(by_name[name])) == str(value), name


def test_texts(host: rig.Host, known: frozenset[str]) -> None:
    """A text of the greatest length arrives whole, a single character too."""
    texts = keys(Kind.TEXT, known)
    assert texts
    for make in (lambda key: "x" * min(key.max_bytes, 60), lambda _key: "7"):
        wanted = {key: "5.15.0" if key.name == "Linux_osrelease" else make(key) for key in texts}
        held = set_on_a_jail(host, {key.name: text for key, text in wanted.items()})
        assert {key.param: held.get(str(key.param)) for key in texts} == {
            key.param: text for key, text in wanted.items()
        }


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"Jid": 4711}, {"jid": "4711"}),
        ({"Children_max": 3}, {"children.max": "3"}),
        ({"Params": {"sysvshm": "new"}}, None),
    ],
    ids=["Jid", "Children_max", "Params"],
)
def test_one_alone(host: rig.Host, config: dict[str, Any], wanted: dict[str, str] | None) -> None:
    """Keys that stand alone."""
    if wanted is None:
        with pytest.raises(Exception, match="Sysvshm"):
            set_on_a_jail(host, config)
        return
    assert set_on_a_jail(host, config).items() >= wanted.items()


def test_a_number_that_is_taken(host: rig.Host) -> None:
    """Another jail's number is refused before anything is made; a start that is repeated has its own."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Persist": True, "Jid": 4712})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            await plugin.start(spec)
            jid = host.task(spec.id).jid
            with pytest.raises(PluginError, match=f"Jid = {jid}: another jail has it"):
                await plugin.start(host.spec({"Persist": True, "Jid": jid}))
            await plugin.client.stop(spec.id, timeout_s=1, signal="SIGKILL")
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())
