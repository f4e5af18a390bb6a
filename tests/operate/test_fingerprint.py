"""Health with its reasons: told as it changes, and healed by itself."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rig
from jail_driver.engine import fingerprint
from jail_driver.host.tools import Tools, in_directory
from jail_driver.model import Attribute, Fingerprint, Health
from jail_driver.supervisor import procid
from jail_driver.version import __version__
from operate.operating import SLEEP, accounting

pytestmark = rig.needs_root
PREFIX = "driver.jail-task-driver"


async def until(stream: AsyncIterator[Fingerprint], wanted: Callable[[Fingerprint], bool]) -> Fingerprint:
    """The first fingerprint that is as wanted; others before it are passed over."""
    async with asyncio.timeout(30):
        async for found in stream:
            if wanted(found):
                return found
    raise AssertionError("the stream ended")


def test_attributes(host: rig.Host) -> None:
    """What jobs may ask for in constraints, and what an operator wants to see."""

    async def scenario() -> None:
        async with rig.plugin(host) as plugin:
            found = await until(plugin.client.fingerprints(), lambda one: one.health is Health.HEALTHY)
            seen = {name.removeprefix(f"{PREFIX}."): one.value for name, one in found.attributes.items()}
            assert seen[PREFIX] is True
            assert seen["version"] == __version__
            assert (seen["schema"], seen["tools"]) == ("0001", "stand-ins")
            assert seen["release"] == host.tool("sysctl", "-n", "kern.osrelease").strip()
            assert (seen["racct"], seen["vnet"], seen["jails"], seen["tasks"]) == (True, True, 0, 0)
            listed = host.tool("sysctl", "-N", "security.jail.param").split()
            assert 60 < int(str(seen["parameters"])) <= len(listed)
            assert found.description.startswith("ready; hooks are open")

    asyncio.run(scenario())


def test_a_kernel_that_does_not_count(host: rig.Host) -> None:
    """Jobs without limits still run: healthy, with the remedy for those that have some."""

    async def scenario() -> None:
        with accounting(host, on=False):
            async with rig.plugin(host) as plugin:
                found = await anext(plugin.client.fingerprints())
                assert found.health is Health.HEALTHY
                assert "set kern.racct.enable=1 in /boot/loader.conf" in found.description
                assert found.attributes[f"{PREFIX}.racct"].value is False

    asyncio.run(scenario())


def test_without_the_rights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not root: said first, with the way out."""
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    tools = in_directory(_tools(tmp_path))
    runtime: Any = SimpleNamespace(state=SimpleNamespace(root=tmp_path), tools=tools)
    assert fingerprint.glance(runtime) == [
        "not root: jails need a plugin that runs as root; run the Nomad agent as root"
    ]


def _tools(directory: Path) -> Path:
    for field in dataclasses.fields(Tools):
        (directory / field.name).touch(0o755)
    return directory


@pytest.mark.parametrize("readable", [True, False])
def test_a_host_without_start_times(readable: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """A Linux Python on FreeBSD without linprocfs works, and the description says what it cannot do."""
    monkeypatch.setattr(procid, "started_ticks", lambda _pid: 1 if readable else None)
    runtime: Any = SimpleNamespace(
        options=SimpleNamespace(policy=SimpleNamespace(hooks_open=False)), tasks=lambda: ()
    )
    notes = fingerprint._notes(runtime, {f"{PREFIX}.racct": Attribute(value=True)})
    assert any("mount linprocfs" in note for note in notes) is not readable


def test_a_command_that_goes_missing(host: rig.Host) -> None:
    """It is named; the driver is healthy again when it is back."""

    async def scenario() -> None:
        async with rig.plugin(host) as plugin:
            stream = plugin.client.fingerprints()
            await until(stream, lambda one: one.health is Health.HEALTHY)
            jls = host.tools / "jls"
            jls.chmod(0o600)
            try:
                words = f"{jls}: missing or not executable"
                found = await until(stream, lambda one: words in one.description)
                assert found.health is Health.UNHEALTHY
            finally:
                jls.chmod(0o755)
            await until(stream, lambda one: one.health is Health.HEALTHY)

    asyncio.run(scenario())


@pytest.fixture
def small_host() -> Iterator[rig.Host]:
    """A host whose state directory is a small file system of its own."""
    with rig.host() as made:
        made.state.mkdir()
        options = "size=8m,nr_inodes=300,mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", made.state], check=True)
        yield made


def test_a_state_directory_that_is_full(small_host: rig.Host) -> None:
    """A start would fail: unhealthy with the path and the system's words; running tasks go on."""
    host = small_host

    async def scenario() -> None:
        spec = host.spec(SLEEP)
        async with rig.plugin(host) as plugin:
            stream = plugin.client.fingerprints()
            await plugin.start(spec)
            filler = fill(host.state)
            found = await until(stream, lambda one: one.health is Health.UNHEALTHY)
            assert (
                f'state_dir = "{host.state}": cannot write there: No space left on device'
                in found.description
            )
            shutil.rmtree(filler)
            await until(stream, lambda one: one.health is Health.HEALTHY)
            assert (await plugin.client.inspect(spec.id)).attributes["state"] == "running"
            await plugin.client.destroy(spec.id, force=True)

    asyncio.run(scenario())


def fill(directory: Path) -> Path:
    """Makes files until the file system takes no more."""
    filler = directory / "filler"
    filler.mkdir()
    with contextlib.suppress(OSError):
        for number in itertools.count():
            (filler / str(number)).touch()
    return filler


def test_tools_that_were_never_there(host: rig.Host) -> None:
    """The plugin serves, says why it cannot work, and can as soon as they are there."""

    async def scenario() -> None:
        tools, aside = host.base / "later", host.base / "aside"
        shutil.copytree(host.tools, aside)
        (aside / "settings.json").write_text(
            json.dumps(json.loads((host.tools / "settings.json").read_text()))
        )
        async with rig.plugin(host, jail_tools=str(tools)) as plugin:
            stream = plugin.client.fingerprints()
            found = await anext(stream)
            assert found.health is Health.UNHEALTHY
            assert f"{tools}/jail is missing or not executable" in found.description
            aside.rename(tools)
            await until(stream, lambda one: one.health is Health.HEALTHY)

    asyncio.run(scenario())
