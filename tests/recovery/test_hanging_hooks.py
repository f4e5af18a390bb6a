"""Hooks of the teardown that never end: each costs its own limit, the rest is undone, the exit status is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import rig
from jail_state.core.steps import Progress

pytestmark = [rig.needs_root, pytest.mark.timeout(120)]

HANGS = ("Exec_prestop", "Exec_stop", "Exec_poststop", "Exec_release")
SLEEP = "sleep 4711"


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


def hanging(host: rig.Host) -> list[int]:
    """Return the hooks that still hang."""
    return [pid for pid, argv in host.ours() if SLEEP in argv]


def test_each_costs_its_own_limit(host: rig.Host) -> None:
    """WaitTask answers with main's own code; the hooks' failures are told, and nothing of them goes on."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec(
            {
                "Exec_start": "touch /alloc/up; exec sleep 300",
                "Exec_timeout": "1s",
                "Mount_devfs": True,
                **dict.fromkeys(HANGS, f"{SLEEP}; echo never"),
            }
        )
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            await rig.until("main is up", Path(spec.alloc_dir, "alloc/up").exists)
            await asyncio.wait_for(plugin.client.stop(spec.id, timeout_s=5.0), 60)
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 10)
            assert (result.exit_code, result.signal, result.error) == (128 + 15, 15, "")
            await plugin.client.destroy(spec.id)
        records = host.task(spec.id).records
        for hook in HANGS:
            assert "after 1 s" in records[f"{hook.lower().replace('_', '.')}[0]"].error
        assert hanging(host) == []
        host.wait_clean(before)

    asyncio.run(scenario())


def test_one_that_hangs_when_the_plugin_dies(host: rig.Host) -> None:
    """The next plugin gives it the rest of its limit, ends it, does not run it again, and undoes the rest."""

    async def scenario() -> None:
        before = host.snapshot()
        spec = host.spec(
            {
                "Exec_start": f"{rig.UNTIL_TOLD}; exit 5",
                "Exec_timeout": "2s",
            }
        )
        runs = Path(spec.alloc_dir, "alloc/hooks")
        spec.config["Exec_poststop"] = f"echo poststop >> {runs}; {SLEEP}; echo never >> {runs}"
        spec.config["Exec_release"] = f"echo release >> {runs}"
        first = await rig.launch(host)
        started = await first.start(spec)
        Path(spec.alloc_dir, "alloc/end").touch()
        await rig.until("the hook hangs", runs.exists)
        await first.kill()
        assert hanging(host)
        async with rig.plugin(host) as second:
            await second.client.recover(started.handle)
            result = await asyncio.wait_for(second.client.wait(spec.id), 40)
            assert (result.exit_code, result.signal, result.error) == (5, 0, "")
            await second.client.destroy(spec.id)
        assert host.task(spec.id).progress("exec.poststop[0]") is Progress.UNKNOWN
        assert runs.read_text().split() == ["poststop", "release"]
        assert hanging(host) == []
        host.wait_clean(before)

    asyncio.run(scenario())
