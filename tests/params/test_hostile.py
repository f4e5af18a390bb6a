"""Hostile values, over the RPC, down to what the stand-in's kernel holds."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rig
from config.test_hostile import CONFIG, LIMIT, RCTL, TEXT, VALUE
from jail_driver.agent.stub import PluginError
from jail_driver.model import TaskSpec
from nomad.system import mounts_below

pytestmark = rig.needs_root

VALUES = {
    "quotes": "'\"'\"",
    "shell": "$(touch {mark}); `touch {mark}` | touch {mark} & touch {mark} > {mark}",
    "new line": "a\npersist\nallow.chflags\n{mark}",
    "jail.conf": '"; } evil { exec.start = "touch {mark}"; } #',
    "more parameters": "x allow.raw_sockets=1 exec.prestart=touch_{mark} mount=x",
    "braces and equals": "{}={{}}=a==b",
    "commas": "ro,exec,union,,",
    "options": "-o exec --help -u",
    "blanks": "  a \t b  ",
    "not ascii": "é\u2028ß\U0001f600\u202e",
    "percent": "%s%n%00",
    "backslashes": "\\040\\000\\\\",
    "control": "\x01\x1b[31m\x7f",
    "variables": "${NOMAD_TASK_DIR} $HOME ~root *",
}


class Served:
    """One plugin for many examples, and the loop that it lives on."""

    def __init__(self, host: rig.Host, plugin: rig.Plugin, runner: asyncio.Runner) -> None:
        self.host = host
        self.plugin = plugin
        self._runner = runner
        self._plain: frozenset[str] = frozenset()

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run one example."""
        return self._runner.run(_awaited(work))

    async def end(self, spec: TaskSpec) -> None:
        """Stop a task and forget it."""
        await asyncio.wait_for(self.plugin.client.stop(spec.id, timeout_s=1, signal="SIGTERM"), 30)
        await self.plugin.client.destroy(spec.id)

    async def plain(self) -> frozenset[str]:
        """The parameters of a jail for which nothing was asked."""
        if not self._plain:
            spec = self.host.spec({"Persist": True})
            await self.plugin.start(spec)
            self._plain = frozenset(self.jail(spec.id)["params"])
            await self.end(spec)
        return self._plain

    def jail(self, task_id: str) -> Mapping[str, Any]:
        """What the stand-in's kernel holds of a task's jail."""
        jid = self.host.task(task_id).jid
        return dict(json.loads((self.host.tools / f"registry/jails/{jid}/record").read_text()))

    async def answers(self, config: Mapping[str, Any]) -> str:
        """Start a task of any configuration: empty if it started, else what the operator reads."""
        spec = replace(self.host.spec(), config=dict(config))
        try:
            await self.plugin.start(spec)
        except PluginError as error:
            sentence = str(error)
        else:
            sentence = ""
            await self.end(spec)
        assert self.plugin.process.status is None, "the plugin died"
        return sentence


async def _awaited(work: Callable[[], Awaitable[Any]]) -> Any:
    return await work()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A plugin that must live through all tests of this file, on a host that must be clean afterwards."""
    with rig.host() as host, asyncio.Runner() as runner:
        before = host.snapshot()
        plugin = runner.run(rig.launch(host, kill_timeout="1s"))
        try:
            yield Served(host, plugin, runner)
            host.wait_clean(before)
        finally:
            runner.run(plugin.client.shutdown())
            runner.run(plugin.process.end())
            runner.run(plugin.client.close())


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_one_value(served: Served, name: str) -> None:
    """It reaches the jail byte for byte, and adds no parameter, no mount and no command."""
    host = served.host
    mark = host.base / "mark"
    value = VALUES[name].replace("{mark}", str(mark))
    config = {
        "Persist": True,
        "Host_hostname": value,
        "Host_domainname": value,
        "Meta": value,
        "Env": {"name": value.replace("\n", " ")},
        "Exec_prestart": ["/usr/bin/true"],
    }

    async def scenario() -> None:
        spec = host.spec(config)
        await served.plugin.start(spec)
        record = served.jail(spec.id)
        params = record["params"]
        assert (params["host.hostname"], params["host.domainname"], params["meta"]) == (value, value, value)
        assert params["env"] == f"name={config['Env']['name']}"  # type: ignore[index]  # a mapping, see above
        assert record["path"] == host.task(spec.id).plan.directory + "/root"
        assert set(params) <= {*await served.plain(), "host.hostname", "host.domainname", "meta", "env"}
        view = host.task(spec.id).plan.directory
        mounted = [target for target in mounts_below(host.state) if target.startswith(f"{view}/root")]
        assert len(mounted) == sum(step.kind == "mount" for step in host.task(spec.id).plan.steps)
        await served.end(spec)

    served.run(scenario)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["blanks", "commas", "options", "not ascii", "backslashes", "shell"])
def test_a_name_of_a_mount_is_one_name(served: Served, name: str) -> None:
    """Directories with such names are mounted, encoded as in fstab(5), with the options asked for alone."""
    host = served.host
    text = VALUES[name].replace("{mark}", "mark").replace("/", "_")[:100]
    source = host.base / f"src{text}"
    source.mkdir()
    (source / "inside").write_text("seen")
    encoded = "".join(f"\\{ord(char):03o}" if char in " \t\n\\#" else char for char in str(source))
    config = {
        "Exec_start": "cat /target/inside; touch /target/x; true",
        "Mount": f"{encoded} /target nullfs ro",
    }

    async def scenario() -> str:
        spec = host.spec(config)
        await served.plugin.start(spec)
        await asyncio.wait_for(served.plugin.client.wait(spec.id), 30)
        await served.plugin.client.destroy(spec.id)
        return Path(spec.stdout_path).read_text()

    assert served.run(scenario) == "seen"
    assert not (source / "x").exists()


def test_an_argument_is_one_argument(served: Served) -> None:
    """Without shell characters nothing is interpreted; with them the jail's own shell does, nothing before."""
    host = served.host

    async def scenario() -> str:
        spec = host.spec({"Exec_start": "/bin/echo %s {} = a=b --help,x é"})
        await served.plugin.start(spec)
        await asyncio.wait_for(served.plugin.client.wait(spec.id), 30)
        await served.plugin.client.destroy(spec.id)
        return Path(spec.stdout_path).read_text()

    assert served.run(scenario) == "%s {} = a=b --help,x é\n"


@pytest.mark.parametrize("value", ["a\0b", "x" * 5000, "\0"])
def test_what_no_argument_can_carry_is_refused(served: Served, value: str) -> None:
    """NUL and very long values are named, before anything is made."""
    sentence = served.run(lambda: served.answers({"Persist": True, "Host_hostname": value, "Meta": value}))
    assert "Host_hostname" in sentence
    assert "Meta" in sentence
    assert len(sentence) < 3000


EXAMPLES = settings(
    deadline=None,
    max_examples=int(os.environ.get("HOSTILE_EXAMPLES", "12")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _sendable(value: Any) -> Any:
    """What msgpack can carry: Nomad's decoder sends nothing else."""
    if isinstance(value, Mapping):
        return {_sendable(str(name)): _sendable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_sendable(item) for item in value]
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-(2**63), min(value, 2**64 - 1))
    return value


def _check(sentence: str) -> None:
    assert len(sentence) < 20000
    assert "Traceback" not in sentence


@EXAMPLES
@given(config=CONFIG)
def test_any_value_of_any_key(served: Served, config: dict[str, Any]) -> None:
    """Arbitrary values under the table's keys start, or give an answer; the plugin lives."""
    # No example may run commands or mount and network things of the machine that runs this test.
    effects = ("Exec_", "Command", "Mount", "Vnet", "Ip4", "Ip6", "Bridge", "Interface", "Nic", "Path")
    harmless = {name: value for name, value in config.items() if not name.startswith(effects)}
    _check(
        served.run(
            lambda: served.answers({"Persist": True, "Path": str(served.host.root)} | _sendable(harmless))
        )
    )


@EXAMPLES
@given(rctl=RCTL, limit=LIMIT)
def test_any_limits(served: Served, rctl: dict[str, Any], limit: dict[str, Any]) -> None:
    """So do arbitrary limits."""
    wanted = {"Persist": True, "Path": str(served.host.root), "Rctl": _sendable({**rctl, "Openfiles": limit})}
    _check(served.run(lambda: served.answers(wanted)))


@EXAMPLES
@given(config=st.dictionaries(TEXT, VALUE, max_size=5))
def test_any_map(served: Served, config: dict[str, Any]) -> None:
    """A map without the driver's keys is always refused, with the reason."""
    sentence = served.run(lambda: served.answers(_sendable(config)))
    assert "Exec_start is missing" in sentence
    _check(sentence)
