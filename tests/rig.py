"""The plugin as a process over its socket, on the stand-ins, in a network of its own: no Nomad needed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from jail_driver.agent.client import DriverClient
from jail_driver.agent.process import PluginProcess
from jail_driver.model import ExitResult, Fingerprint, Health, Resources, StartedTask, TaskSpec
from jail_state.core.events import Recorded
from jail_state.core.task import Task, replay
from jail_state.store.readonly import ReadOnlyStore
from nomad import root
from nomad.network import Network
from nomad.system import eventually, eventually_equal, fork_helpers, mounts_below, processes, rooted_below

T = TypeVar("T")

PLUGIN = (sys.executable, "-m", "jail_driver")
"""How the plugin is run."""
UNTIL_TOLD = "while [ ! -e /alloc/end ]; do sleep 0.05; done"
"""A command of a task that goes on until a test makes alloc/end in its allocation's directory."""

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/self/mountinfo").exists() or shutil.which("ip") is None,
    reason="drives jails on Linux: needs root and iproute2 (apt-get install iproute2)",
)


def changed(code: str) -> tuple[str, ...]:
    """How a plugin is run in which something is changed first, in Python; the rest is the real one."""
    run = "import runpy; runpy.run_module('jail_driver', run_name='__main__', alter_sys=True)"
    return (sys.executable, "-c", f"{code}\n{run}")


class Host:
    """What outlives plugins: tools, a root to share, a network, a state directory."""

    def __init__(self, *, dying_s: float = 0.0) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="jr", dir="/tmp"))
        self.network = Network()
        self.tools = self.base / "tools"
        self.state = self.base / "state"
        self.faults = self.base / "faults.json"
        for name in ("alloc", "tmp"):
            (self.base / name).mkdir()
        argv = [sys.executable, "-m", "jail_linux.install", "--dying-s", str(dying_s), str(self.tools)]
        subprocess.run(argv, check=True, capture_output=True)
        root.make(self.root)

    @property
    def root(self) -> Path:
        """The directory that tasks name as ``Path``."""
        return self.base / "root"

    def tool(self, name: str, *arguments: str) -> str:
        """Run a jail tool, and return what it printed."""
        return self.network.run(str(self.tools / name), *arguments).stdout

    def settings(self, **changed: Any) -> None:
        """Change settings of the stand-ins (docs/reference/stand-ins.md)."""
        settings = self.tools / "settings.json"
        # At once: a tool that a killed plugin began may be reading it.
        new = settings.with_suffix(".new")
        new.write_text(json.dumps(json.loads(settings.read_text()) | changed))
        new.replace(settings)

    def barriers(self, *barriers: Mapping[str, Any]) -> None:
        """Make the stand-ins stop where a test wants it."""
        self.settings(barriers=barriers)

    def kill_supervisor(self, task_id: str) -> None:
        """Does kill -9 of a task's supervisor."""
        supervisor = self.task(task_id).supervisor
        assert supervisor is not None
        os.kill(supervisor.pid, signal.SIGKILL)

    def reboot(self) -> None:
        """Do to the host what a reboot does: processes, mounts, jails, limits, addresses go, the boot is another."""
        for pid, _argv in self.ours():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually("everything ended", lambda: not self.ours(), 10)
        # Those of the shared root are the host's own: they come back with the boot.
        for target in reversed([*mounts_below(self.tools), *mounts_below(self.state)]):
            subprocess.run(["umount", target], check=True, capture_output=True)
        self.settings(boot_id=str(uuid.uuid4()))

    def plan_faults(self, *plans: Mapping[str, Any]) -> None:
        """Make the next plugins kill themselves (or fail, or wait) where a test wants it."""
        self.faults.with_suffix(".fired").unlink(missing_ok=True)
        self.faults.write_text(json.dumps(plans))

    def spec(self, config: Mapping[str, Any] | None = None, **changes: Any) -> TaskSpec:
        """Return a task as Nomad describes it, its directories made."""
        alloc_id = str(uuid.uuid4())
        name = changes.get("name", "web")
        alloc_dir = self.base / "alloc" / alloc_id
        for part in ("alloc/logs", f"{name}/local", f"{name}/secrets"):
            (alloc_dir / part).mkdir(parents=True)
        spec = TaskSpec(
            id=f"{alloc_id}/{name}/{uuid.uuid4().hex[:8]}",
            name=name,
            alloc_id=alloc_id,
            job_name="job",
            job_id="job",
            task_group="g",
            namespace="default",
            node_name="node",
            node_id="node",
            user="",
            env={"NOMAD_TASK_NAME": name},
            device_env={},
            config={"Path": str(self.root), **(config or {})},
            resources=Resources(),
            mounts=(),
            devices=(),
            alloc_dir=str(alloc_dir),
            stdout_path=str(alloc_dir / "alloc/logs/stdout"),
            stderr_path=str(alloc_dir / "alloc/logs/stderr"),
        )
        for path in (spec.stdout_path, spec.stderr_path):
            Path(path).touch()
        return replace(spec, **changes)

    def snapshot(self) -> Mapping[str, Any]:
        """Everything that a task can leave behind, as the system shows it."""
        return {
            "mounts": sorted(mounts_below(self.base)),
            "addresses": self.network.addresses(),
            "interfaces": self.network.interfaces(),
            "routes": self.network.routes(),
            "jailed": sorted(rooted_below(self.base)),
            "supervisors": sorted(
                pid for pid, argv in self.ours() if "fork_helper" in argv and pid not in fork_helpers()
            ),
            "jails": self.tool("jls", "-d", "name"),
            "rules": self.tool("rctl"),
            "files": sorted(str(path) for name in ("s", "t") for path in (self.state / name).glob("*")),
            "root": sorted(str(path.relative_to(self.root)) for path in self.root.iterdir()),
        }

    def ours(self) -> list[tuple[int, str]]:
        """The processes in our network or below our directory, by pid and command line."""
        mine = self.network.processes() | rooted_below(self.base)
        return [(pid, argv) for pid, _parent, argv in processes() if pid in mine]

    def wait_clean(self, before: Mapping[str, Any]) -> None:
        """Wait until nothing is there that was not there before (the fork helper ends with its plugin)."""
        eventually_equal("the host", self.snapshot, before)

    def history(self, task_id: str) -> tuple[Recorded, ...]:
        """Return a task's events, read as state-dump reads them."""
        return ReadOnlyStore(self.state / "events.db").read(task_id)

    def task(self, task_id: str) -> Task:
        """Return a task as its events tell it."""
        return replay(self.history(task_id))

    def close(self) -> None:
        """End what a failed test left, and remove everything."""
        for pid, _argv in self.ours():
            with suppress(ProcessLookupError):  # another one's end may have been its end
                os.kill(pid, signal.SIGKILL)
        eventually("everything ended", lambda: not self.ours(), 10)
        self.network.close()
        for target in reversed(mounts_below(self.base)):
            subprocess.run(["umount", target], check=False, capture_output=True)
        if not mounts_below(self.base):
            shutil.rmtree(self.base, ignore_errors=True)


@contextmanager
def host(**options: Any) -> Any:
    """A host for a test, gone afterwards."""
    made = Host(**options)
    try:
        yield made
    finally:
        made.close()


class Plugin:
    """One life of the plugin."""

    def __init__(self, process: PluginProcess, client: DriverClient, log: list[Mapping[str, Any]]) -> None:
        self.process = process
        self.client = client
        self.log = log

    async def kill(self) -> None:
        """Does kill -9."""
        await self.client.close()
        await self.process.kill()

    async def gone(self) -> None:
        """Wait until it has killed itself, as a planned fault says."""
        assert await self.process.wait(30) == -signal.SIGKILL
        await self.client.close()

    async def fingerprint(self, health: Health) -> Fingerprint:
        """Wait for a fingerprint of this health."""
        async with asyncio.timeout(60):
            async for seen in self.client.fingerprints():
                if seen.health is health:
                    return seen
        raise AssertionError(f"never {health.name}")

    async def start(self, spec: TaskSpec) -> StartedTask:
        """Start a task."""
        return await asyncio.wait_for(self.client.start(spec), 30)


@asynccontextmanager
async def plugin(where: Host, *, argv: Sequence[str] = PLUGIN, **options: Any) -> AsyncIterator[Plugin]:
    """A plugin that serves, ended afterwards the way Nomad ends one."""
    started = await launch(where, argv=argv, **options)
    try:
        yield started
    finally:
        if started.process.status is None:
            await started.client.shutdown()
            await started.process.end()
        await started.client.close()


async def launch(where: Host, *, argv: Sequence[str] = PLUGIN, **options: Any) -> Plugin:
    """Launch a plugin and make it real, as Nomad does; ``argv`` is how it is run."""
    log: list[Mapping[str, Any]] = []
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "TMPDIR": str(where.base / "tmp"),
        "AGENT_SECRET": "hunter2-of-the-agent",
    }
    if where.faults.exists():
        environment["JAIL_TASK_DRIVER_FAULTS"] = str(where.faults)
    with where.network.entered():
        process = await PluginProcess.launch(argv, env=environment, on_log=log.append)
    client = DriverClient(process.address)
    await client.connect()
    config = {"state_dir": str(where.state), "jail_tools": str(where.tools), "teardown_deadline": "20s"}
    await client.set_config(config | options, real=True)
    return Plugin(process, client, log)


async def until(what: str, look: Callable[[], T | None], timeout_s: float = 20.0) -> T:
    """Look until there is something to see, without stopping the loop."""
    return await asyncio.to_thread(eventually, what, look, timeout_s)


def assert_told(result: ExitResult, told: bool, end: tuple[int, int]) -> None:  # noqa: FBT001  # a fact of the host
    """Main's end (exit code, signal) is the true one where somebody can tell it; else it is said to be unknown."""
    if told:
        assert (result.exit_code, result.signal, result.error) == (*end, "")
    else:
        assert result.exit_code == -1
        assert "unknown" in result.error
