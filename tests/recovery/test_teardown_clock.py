"""The wall clock is set by an hour while a teardown is stuck: its deadline is neither reached by that, nor put off."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import rig
from jail_state.core import events as ev

pytestmark = [rig.needs_root, pytest.mark.timeout(120)]


@pytest.fixture
def host() -> Iterator[rig.Host]:
    """A host of its own for each."""
    with rig.host() as made:
        yield made


def set_by(hours: int, mark: Path) -> tuple[str, ...]:
    """Run a plugin whose wall clock is stepped once a file is there."""
    code = (
        f"import os, time; ns, t = time.time_ns, time.time; s = lambda: os.path.exists('{mark}') * {hours};"
        "time.time_ns = lambda: ns() + s() * 3600 * 10**9; time.time = lambda: t() + s() * 3600"
    )
    return rig.changed(code)


@contextmanager
def in_the_way(view: Path) -> Iterator[None]:
    """Somebody's process stands in the view: its root cannot be unmounted."""
    with subprocess.Popen(["/bin/sleep", "300"], cwd=view) as holder:
        try:
            yield
        finally:
            holder.kill()


def in_flight(host: rig.Host, task_id: str) -> str:
    """Return what the task's history ends in the middle of."""
    step = host.task(task_id).in_flight
    return step.key if step is not None else ""


@pytest.mark.parametrize(("hours", "deadline"), [(-1, "2s"), (1, "30s")], ids=["back", "forward"])
def test_a_stepped_clock(host: rig.Host, hours: int, deadline: str) -> None:
    """Set back, WaitTask answers all the same; set forward, what needs a moment more is no leftover."""

    async def scenario() -> None:
        before = host.snapshot()
        mark = host.base / "stepped"
        spec = host.spec({"Exec_start": f"{rig.UNTIL_TOLD}; exit 5"})
        argv = set_by(hours, mark)
        async with rig.plugin(host, argv=argv, teardown_deadline=deadline) as plugin:
            await plugin.start(spec)
            with in_the_way(Path(host.task(spec.id).plan.directory, "root")):
                Path(spec.alloc_dir, "alloc/end").touch()
                await rig.until("it is stuck", lambda: in_flight(host, spec.id) == "unmount mount /")
                mark.touch()
                waiting = asyncio.create_task(plugin.client.wait(spec.id))
                if hours > 0:
                    await asyncio.sleep(3)  # some more tries
                else:
                    await asyncio.wait({waiting}, timeout=30)
                    assert waiting.done()
                assert bool(host.task(spec.id).leftovers) is (hours < 0)
            result = await asyncio.wait_for(waiting, 30)
            assert (result.exit_code, result.signal, result.error) == (5, 0, "")
            await plugin.client.destroy(spec.id)
            await rig.until("cleared", lambda: not host.task(spec.id).leftovers)
        abandoned = [one for one in host.history(spec.id) if isinstance(one.event, ev.StepAbandoned)]
        assert bool(abandoned) is (hours < 0)
        host.wait_clean(before)

    asyncio.run(scenario())
