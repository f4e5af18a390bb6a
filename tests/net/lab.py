"""What the tests of networks and files share: tasks that answer, tasks that look around."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import rig
from jail_driver.cli import demo_root
from jail_driver.model import ExitResult, TaskSpec

FETCH = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode(), end="")
"""


def echo(host: rig.Host, address: str, text: str, **config: Any) -> TaskSpec:
    """A service on an address, port 9999."""
    command = f"/usr/local/bin/http-echo -listen {address}:9999 -text {text}"
    return host.spec({"Exec_start": command, **config})


def fetcher(host: rig.Host, url: str, **config: Any) -> TaskSpec:
    """A task that fetches a page into /alloc/page."""
    spec = host.spec(config)
    Path(spec.alloc_dir, "web/local/fetch.py").write_text(FETCH)
    command = f"{demo_root.survey().interpreter} -IS /local/fetch.py {url} > /alloc/page"
    return replace(spec, config={**spec.config, "Exec_start": command})


async def answers(host: rig.Host, address: str, text: str) -> None:
    """Wait until a service answers a client outside."""
    page = await rig.until(f"an answer of {address}", lambda: host.network.try_get(address, 9999))
    assert page == f"{text}\n"


async def run(plugin: rig.Plugin, spec: TaskSpec) -> ExitResult:
    """Start a task, wait for its end, and forget it."""
    await plugin.start(spec)
    result = await asyncio.wait_for(plugin.client.wait(spec.id), 30)
    await plugin.client.destroy(spec.id)
    return result


async def stop(plugin: rig.Plugin, spec: TaskSpec) -> None:
    """Stop a task and forget it."""
    await asyncio.wait_for(plugin.client.stop(spec.id, timeout_s=2, signal="SIGTERM"), 40)
    await plugin.client.destroy(spec.id)


def said(spec: TaskSpec, name: str = "seen") -> str:
    """What a task left in a file of /alloc."""
    return Path(spec.alloc_dir, "alloc", name).read_text()


def looks(host: rig.Host, command: str, config: Mapping[str, Any] | None = None, **changes: Any) -> TaskSpec:
    """A task that writes what a shell command prints to /alloc/seen."""
    return host.spec({"Exec_start": f"{{ {command}; }} > /alloc/seen 2>&1", **(config or {})}, **changes)
