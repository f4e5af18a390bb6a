"""Steps of a jail that exists: processors and datasets, done, done again, undone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core_builders import planned, running
from jail_driver.engine.steps import HANDLERS, Context
from jail_driver.errors import HostError
from jail_driver.host.errors import BusyError
from jail_driver.host.fake import FakeHost
from jail_driver.host.port import JailSeen, MountSeen
from jail_state.core.reconcile import Seen
from jail_state.core.steps import Step, StepKind, teardown_of

CPUS = Step("cpus", StepKind.CPUS, args={"cpus": "0,2"})
DATASET = Step("dataset tank/a", StepKind.DATASET, args={"dataset": "tank/a"})
[BACK] = [step for step in teardown_of((DATASET,), {}) if step.kind is StepKind.DATASET_BACK]


class Bench:
    """A jail on the in-memory host, and a context whose task it is."""

    def __init__(self, root: Path) -> None:
        self.host = FakeHost()
        self.host.datasets = {"tank/a", "tank/b"}
        self.root = root
        self.jid = 0
        self.jail: JailSeen | None = None

    async def make(self) -> Context:
        """Creates the jail."""
        self.jid = await self.host.create_jail("web", self.root, {})
        self.jail = JailSeen(self.jid, "web", str(self.root))

        async def jail() -> JailSeen | None:
            return self.jail

        context = SimpleNamespace(
            task=replace(running(), plan=planned(jail_name="web"), jid=self.jid),
            host=self.host,
            directory=SimpleNamespace(root=self.root),
            lock=lambda step: Path("/locks", step.key),
            jail=jail,
        )
        return cast("Context", context)


def run(tmp_path: Path, scenario: Callable[[Bench, Context], Awaitable[None]]) -> None:
    """Runs a scenario on a jail."""

    async def inner() -> None:
        bench = Bench(tmp_path)
        await scenario(bench, await bench.make())

    asyncio.run(inner())


async def perform(context: Any, step: Step) -> None:
    """Performs one step."""
    assert await HANDLERS[step.kind].perform(context, step, {}) == {}


def test_processors(tmp_path: Path) -> None:
    """The jail is bound, again after a crash; what the host lacks is a refusal of the host's."""

    async def scenario(bench: Bench, context: Context) -> None:
        await perform(context, CPUS)
        assert (await HANDLERS[StepKind.CPUS].observe(context, CPUS, {})).seen is Seen.NOT_DONE
        await perform(context, CPUS)
        assert bench.host.jail_table[bench.jid].cpus == "0,2"
        with pytest.raises(HostError, match="setaffinity"):
            await perform(context, replace(CPUS, args={"cpus": "99"}))

    run(tmp_path, scenario)


def test_a_dataset_comes_and_goes(tmp_path: Path) -> None:
    """It is handed over, again after a crash, and taken back, again after a crash."""

    async def scenario(bench: Bench, context: Context) -> None:
        for _ in range(2):
            await perform(context, DATASET)
            assert bench.host.jail_table[bench.jid].datasets == {"tank/a"}
        for _ in range(2):
            await perform(context, BACK)
            assert bench.host.jail_table[bench.jid].datasets == set()
        bench.jail = None
        await perform(context, BACK)

    run(tmp_path, scenario)


def test_what_the_jail_mounted_goes_first(tmp_path: Path) -> None:
    """File systems of the dataset below the view are unmounted, uppermost first; no others are touched."""
    root = str(tmp_path)
    mine = [
        MountSeen("tank/a", f"{root}/data", "zfs", "01"),
        MountSeen("tank/a/b", f"{root}/data/b", "zfs", "02"),
    ]
    others = [
        MountSeen("tank/ab", f"{root}/ab", "zfs", "03"),
        MountSeen("tank/a", "/elsewhere", "zfs", "04"),
        MountSeen("tank/a", f"{root}/null", "nullfs", "05"),
    ]

    async def scenario(bench: Bench, context: Context) -> None:
        await perform(context, DATASET)
        bench.host.mount_table += [*mine, *others]
        await perform(context, BACK)
        assert [seen for seen in bench.host.mount_table if seen.fstype != "ufs"] == others

    run(tmp_path, scenario)


def test_a_busy_one_is_tried_again(tmp_path: Path) -> None:
    """As long as something uses it the step fails, and the dataset stays with the jail."""

    async def scenario(bench: Bench, context: Context) -> None:
        await perform(context, DATASET)
        bench.host.mount_table.append(MountSeen("tank/a", f"{tmp_path}/data", "zfs", "01"))

        async def busy(name: str, moment: str) -> None:
            if (name, moment) == ("unmount", "before"):
                raise BusyError("unmount", "Device busy")

        bench.host.hook = busy
        with pytest.raises(BusyError):
            await perform(context, BACK)
        assert bench.host.jail_table[bench.jid].datasets == {"tank/a"}

    run(tmp_path, scenario)
