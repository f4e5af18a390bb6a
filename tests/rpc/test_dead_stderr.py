"""After an agent's crash the plugin lives on with a dead stderr: no line may raise, block or be lost twice."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from jail_driver.agent.client import DriverClient
from jail_driver.agent.stub import PluginError
from jail_driver.plugin import handshake
from plugin_client import sample_task

Env = Mapping[str, str]
LINES = 3000


class Launched:
    """A plugin whose stderr the test holds."""

    def __init__(self, argv: list[str], env: Env) -> None:
        self.stderr, write = os.pipe()
        cookie = {handshake.COOKIE_KEY: handshake.COOKIE_VALUE}
        self.process = subprocess.Popen(argv, env={**env, **cookie}, stdout=subprocess.PIPE, stderr=write)
        os.close(write)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().decode().split("|")[3]

    def end(self) -> None:
        """Kill it by its pid."""
        self.process.kill()
        self.process.communicate()


def test_a_broken_pipe_never_raises(argv: list[str], env: Env, tmp_path: Path) -> None:
    """RPCs that log go on with nobody at the other end, and the file has every line."""

    async def scenario(plugin: Launched) -> None:
        client = DriverClient(plugin.address)
        await client.connect()
        await client.set_config({"log_dir": str(tmp_path / "log")}, real=True)
        os.close(plugin.stderr)
        for number in range(20):
            await client.start(sample_task(f"t{number}"))
        await client.close()

    plugin = Launched(argv, env)
    try:
        asyncio.run(scenario(plugin))
        assert plugin.process.poll() is None
    finally:
        plugin.end()
    lines = [json.loads(line) for line in (tmp_path / "log/plugin.log").read_text().splitlines()]
    started = [line["task_id"] for line in lines if line["@message"] == "starting"]
    assert started == [f"t{number}" for number in range(20)]
    assert (tmp_path / "log/stderr.log").read_text() == ""


def test_a_full_pipe_never_blocks(argv: list[str], env: Env, tmp_path: Path) -> None:
    """An agent that is stopped reads nothing: RPCs go on, lines are dropped whole and counted."""

    async def scenario(plugin: Launched) -> None:
        client = DriverClient(plugin.address)
        await client.connect()
        await client.set_config({"log_dir": str(tmp_path / "log")}, real=True)
        for number in range(LINES // 100):
            starts = (client.start(sample_task(f"t{number}.{one}", fail="config")) for one in range(100))
            answers = await asyncio.gather(*starts, return_exceptions=True)
            assert all(isinstance(answer, PluginError) for answer in answers)
        await client.close()

    plugin = Launched(argv, env)
    try:
        asyncio.run(scenario(plugin))
        os.set_blocking(plugin.stderr, False)
        piped = os.read(plugin.stderr, 1 << 20)
    finally:
        plugin.end()
        os.close(plugin.stderr)
    whole = piped[: piped.rindex(b"\n") + 1].splitlines()
    assert all(json.loads(line)["@message"] for line in whole)
    filed = [json.loads(line) for line in (tmp_path / "log/plugin.log").read_text().splitlines()]
    refused = [line for line in filed if line["@message"] == "refused"]
    assert len(refused) == LINES > len(whole)
    assert filed[-1]["dropped_lines"] > 0
