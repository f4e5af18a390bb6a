"""A plugin as a process, with a connected client: what tests of several parts share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from jail_driver import model
from jail_driver.agent.client import DriverClient
from jail_driver.agent.process import PluginProcess


@dataclass
class Loaded:
    """One plugin under test.

    Args:
        process: the launched process.
        client: connected to it.
        lines: what it logged so far, as hclog's fields.
    """

    process: PluginProcess
    client: DriverClient
    lines: list[Mapping[str, Any]] = field(default_factory=list)

    def messages(self) -> list[str]:
        """The text of each logged line."""
        return [line.get("@message", "") for line in self.lines]


@asynccontextmanager
async def loaded(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> AsyncIterator[Loaded]:
    """Launch a plugin, connect, and end it by its own pid, whatever the test did."""
    lines: list[Mapping[str, Any]] = []
    process = await PluginProcess.launch(argv, env=env, on_log=lines.append)
    client = DriverClient(process.address)
    try:
        await client.connect()
        yield Loaded(process, client, lines)
    finally:
        await client.close()
        await process.kill()


def sample_task(task_id: str = "alloc/web/0011aabb", **config: Any) -> model.TaskSpec:
    """A task whose every field says something."""
    return model.TaskSpec(
        id=task_id,
        name="web",
        alloc_id="alloc",
        job_name="job name",
        job_id="job",
        task_group="group",
        namespace="default",
        node_name="node",
        node_id="0000",
        user="www",
        env={"SECRET": "s3cret"},
        device_env={"GPU": "1"},
        config=config,
        resources=model.Resources(
            100, 64 << 20, 128 << 20, "0-1", (model.Port("http", 80, 8080, "10.0.0.1"),)
        ),
        mounts=(model.Mount("/data", "/srv", readonly=True, propagation_mode="private"),),
        devices=(model.Device("/dev/a", "/dev/b", "rw"),),
        alloc_dir="/alloc",
        stdout_path="/out",
        stderr_path="/err",
        dns=model.Dns(("1.1.1.1",), ("example.org",), ("ndots:2",)),
    )
