"""What a task's configuration only names is looked up once; what the operator forbids never begins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import rig
from jail_driver.agent.stub import PluginError
from nomad.system import mounts_below

pytestmark = rig.needs_root


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


def test_a_mount_table_that_changes_later(host: rig.Host) -> None:
    """Mount_fstab's lines are those of the start: the teardown undoes these, whatever the file says by then."""
    data = host.base / "data with blank"
    data.mkdir()
    (data / "file").write_text("from the table")
    table = host.base / "fstab"
    encoded = str(data).replace(" ", "\\040")
    table.write_text(f"# a comment\n{encoded} /mnt/a nullfs ro 0 0\ntmpfs /mnt/b tmpfs rw,size=1m 0 0\n")

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Exec_start": "cat /mnt/a/file; sleep 300", "Mount_fstab": str(table)})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            view = f"{host.task(spec.id).plan.directory}/root"
            assert {f"{view}/mnt/a", f"{view}/mnt/b"} <= set(mounts_below(host.state))
            table.write_text("/etc /mnt/evil nullfs rw 0 0\n")
            await rig.until("main's output", lambda: Path(spec.stdout_path).read_text() == "from the table")
            await plugin.client.stop(spec.id, timeout_s=1, signal="SIGKILL")
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


def test_a_host_name(host: rig.Host) -> None:
    """Ip_hostname takes the addresses that the name has at the start."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec({"Persist": True, "Host_hostname": "localhost", "Ip_hostname": True})
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            jail = host.task(spec.id).plan.jail_name
            assert "127.0.0.1" in host.tool("jls", "-j", jail, "ip4.addr")
            await plugin.client.stop(spec.id, timeout_s=1, signal="SIGKILL")
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"Persist": True, "Mount_fstab": "/no/such/fstab"}, "Mount_fstab"),
        ({"Persist": True, "Host_hostname": "no.such.invalid", "Ip_hostname": True}, "Ip_hostname"),
        ({"Persist": True, "Exec_fib": 1}, "no setfib(1)"),
        ({"Persist": True, "Exec_jail_user": "nobody", "Rctl": {"Nshm": {"Action": "throttle", "Amount": 1}}}, "throttle"),
    ],
    ids=["file", "name", "fib", "limit"],
)  # fmt: skip
def test_refused_before_anything(host: rig.Host, config: dict[str, object], reason: str) -> None:
    """A sentence, and a host that was never touched."""

    async def scenario() -> None:
        before = host.snapshot()
        async with rig.plugin(host) as plugin:
            with pytest.raises(PluginError, match=r".") as caught:
                await plugin.start(host.spec(config))
            assert reason in str(caught.value)
            assert host.snapshot() == before

    asyncio.run(scenario())


def test_a_strict_operator(host: rig.Host) -> None:
    """The preset is one line, the fingerprint says so, and a refusal names the option that would allow it."""

    async def scenario() -> None:
        before = host.snapshot()
        allowed = {"policy": "strict", "allow_paths": [str(host.root)], "allow_parameters": ["allow.mlock"]}
        async with rig.plugin(host, **allowed) as plugin:
            health = await anext(aiter(plugin.client.fingerprints()))
            assert "hooks are as the operator allows" in health.description
            spec = host.spec({"Persist": True, "Allow_mlock": True})
            await plugin.start(spec)
            await plugin.client.stop(spec.id, timeout_s=1, signal="SIGKILL")
            await plugin.client.destroy(spec.id)
            host.wait_clean(before)
            with pytest.raises(PluginError, match="allow_hooks") as caught:
                await plugin.start(
                    host.spec({"Persist": True, "Exec_prestart": "true", "Allow_chflags": True})
                )
            assert "allow_parameters" in str(caught.value)
        host.wait_clean(before)

    asyncio.run(scenario())
