"""The supervisor is killed under a plugin that cannot ask the kernel itself: pwait(1) asks, or main's end is unknown.

As under a Linux Python on FreeBSD. On Linux a pwait is made from what a kernel of 6.15 tells.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rig
from jail_driver.host.exits import Exits

DRIVER = Path(__file__).resolve().parents[2] / "driver"
BLIND = rig.changed("from jail_driver.host import exits; exits._witness = lambda: None")
PWAIT = f"""#!{sys.executable}
import os, sys, time
sys.path.insert(0, {str(DRIVER)!r})
from jail_driver.host import exits
pid = int(sys.argv[2])
kernel = exits._witness()
kernel.attach(pid)
while (status := kernel.status(pid)) is None:
    time.sleep(0.02)
signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
print(f"{{pid}}: killed by signal {{signal}}." if signal else f"{{pid}}: exited with status {{status >> 8}}.")
"""
"""bin/pwait/pwait.c, with -v."""

pytestmark = [
    rig.needs_root,
    pytest.mark.skipif(not Exits().can_tell, reason="no kernel to make a pwait from: Linux 6.15"),
]


@pytest.fixture(scope="module", params=[True, False], ids=["pwait", "no pwait"])
def host(request: pytest.FixtureRequest) -> Iterator[rig.Host]:
    """A host with or without pwait(1)."""
    with rig.host() as made:
        if request.param:
            program = made.tools / "pwait"
            program.write_text(PWAIT)
            program.chmod(0o755)
        yield made


def waiters(host: rig.Host) -> list[int]:
    """Return the processes that wait for others' ends."""
    return [pid for pid, argv in host.ours() if f"{host.tools}/pwait" in argv]


@pytest.mark.parametrize(
    ("by_itself", "end"), [(True, (7, 0)), (False, (128 + 9, 9))], ids=["itself", "killed"]
)
def test_main_ends_later(host: rig.Host, by_itself: bool, end: tuple[int, int]) -> None:  # noqa: FBT001  # a parameter
    """By itself during the teardown, or killed by it; nothing waits for it afterwards, nor before."""

    async def scenario() -> None:
        before = host.snapshot()
        loop = f"{rig.UNTIL_TOLD}; exit 7"
        spec = host.spec({"Exec_start": f"touch /alloc/up; {loop}", "Exec_prestop": "sleep 1"})
        async with rig.plugin(host, argv=BLIND) as plugin:
            await plugin.start(spec)
            await rig.until("main is inside", Path(spec.alloc_dir, "alloc/up").exists)
            assert waiters(host) == []
            host.kill_supervisor(spec.id)
            await rig.until("the teardown", lambda: "exec.prestop[0]" in host.task(spec.id).records)
            if by_itself:
                Path(spec.alloc_dir, "alloc/end").touch()
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 30)
            rig.assert_told(result, (host.tools / "pwait").exists(), end)
            await plugin.client.destroy(spec.id)
            assert waiters(host) == []
        host.wait_clean(before)

    asyncio.run(scenario())
