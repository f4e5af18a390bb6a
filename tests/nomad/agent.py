"""A real Nomad agent, server and client in one process, and what a test says to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nomad import history, root
from nomad.allocation import Allocation
from nomad.history import History
from nomad.network import Network
from nomad.system import (
    Snapshot,
    eventually,
    eventually_equal,
    fork_helpers,
    mounts_below,
    pids,
    processes,
    rooted_below,
)

DRIVER = "jail-task-driver"
HOST = Path(__file__).with_name("host")
"""Files of the host that the agent runs on: its configuration, jib, logger."""


class RefusedError(Exception):
    """The agent said no."""


class Agent:
    """One agent with its own directory, network and plugin state; restartable.

    Args:
        options: lines for the plugin's config block.
    """

    def __init__(self, options: str = "") -> None:
        self.network = Network()
        # Not pytest's long directory: sockets below must have short paths.
        self.base = Path(tempfile.mkdtemp(prefix="jn", dir="/tmp"))
        self.state = self.base / "state"
        for name in ("plugins", "data", "tmp", "share"):
            (self.base / name).mkdir()
        text = (HOST / "agent.hcl").read_text()
        text = text.replace("@BASE@", str(self.base)).replace("@OPTIONS@", options)
        (self.base / "agent.hcl").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None
        self._serial = 0

    # -- its life -------------------------------------------------------------------------------------

    def install(self) -> None:
        """Puts the plugin in place as README says, and what the document's jobs need on their host."""
        plugins = str(self.base / "plugins")
        for argv in (
            ["jail_driver", "install", "--plugin-dir", plugins],
            ["jail_linux.install", str(self.base / "tools")],
        ):
            subprocess.run([sys.executable, "-m", *argv], check=True, capture_output=True)
        for source, target in (("logger", "tools/logger"), ("jib", "share/jib")):
            shutil.copy2(HOST / source, self.base / target)
        root.make(self.root)

    @property
    def root(self) -> Path:
        """The directory that jobs name as ``Path``."""
        return self.base / "root"

    def start(self) -> None:
        """Starts the agent, again after a kill, and waits until it schedules."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.base),
            "TMPDIR": str(self.base / "tmp"),
            "AGENT_SECRET": "hunter2-of-the-agent",
        }
        nomad = shutil.which("nomad")
        assert nomad is not None
        with self.network.entered(), (self.base / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(
                [nomad, "agent", "-config", str(self.base / "agent.hcl")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        eventually("the agent answers and its node is ready", self._ready, timeout_s=60)

    def _ready(self) -> bool:
        try:
            nodes = self.get("/v1/nodes")
        except (OSError, http.client.HTTPException, RefusedError):
            assert self._process is not None
            assert self._process.poll() is None, f"the agent ended:\n{self.log()[-3000:]}"
            return False
        return any(node["Status"] == "ready" for node in nodes)

    def wait_healthy(self, timeout_s: float = 60.0) -> Mapping[str, Any]:
        """Waits until our driver is healthy on the node; its fingerprint."""
        return eventually("a healthy driver", lambda: self._healthy() or None, timeout_s)

    def _healthy(self) -> Mapping[str, Any] | None:
        node = self.get("/v1/node/" + self.get("/v1/nodes")[0]["ID"])
        info: Mapping[str, Any] | None = (node.get("Drivers") or {}).get(DRIVER)
        return info if info and info["Healthy"] else None

    @property
    def pid(self) -> int:
        """The agent's process id."""
        assert self._process is not None
        return self._process.pid

    def plugin_pids(self) -> list[int]:
        """The running plugins: more than one only while the agent probes; after its crash nobody's child."""
        inside = self.network.processes()
        return [
            pid for pid, _parent, argv in processes() if pid in inside and argv.endswith("-m jail_driver")
        ]

    def plugin_pid(self) -> int:
        """The plugin's process id, once there is exactly one."""
        return eventually("one plugin", lambda: self.plugin_pids() if len(self.plugin_pids()) == 1 else None)[
            0
        ]

    def kill(self) -> None:
        """Does kill -9 of the agent alone: the plugin lives on with a dead stderr."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def kill_plugin(self) -> int:
        """Does kill -9 of the plugin; its pid."""
        pid = self.plugin_pid()
        os.kill(pid, signal.SIGKILL)
        return pid

    @staticmethod
    def end(pid: int) -> None:
        """Does kill -9 of a process that is nobody's child, and waits until it is gone."""
        with contextlib.suppress(ProcessLookupError):  # its broken pipes may have been faster
            os.kill(pid, signal.SIGKILL)
        eventually(f"process {pid} gone", lambda: pid not in pids())

    def stop(self) -> None:
        """The normal stop that a service manager does: SIGINT, which leaves jobs alone."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)

    def close(self) -> None:
        """Ends the agent and whatever a failed test left in its network, and removes its directory."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        for pid in self.network.processes() | rooted_below(self.base):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually("everything ended", lambda: not self.network.processes() | rooted_below(self.base), 10)
        self.network.close()
        for target in reversed(mounts_below(self.base)):
            subprocess.run(["umount", target], check=False, capture_output=True)
        if not mounts_below(self.base):
            shutil.rmtree(self.base, ignore_errors=True)

    def snapshot(self) -> Snapshot:
        """Everything that a task can leave behind, as the system shows it now."""
        return Snapshot(
            mounts=frozenset(mounts_below(self.state)),
            network=frozenset(
                (*self.network.addresses(), *self.network.routes(), *self.network.interfaces())
            ),
            processes=frozenset(
                (pid, argv)
                for pid, _parent, argv in processes()
                if pid in (self.network.processes() | rooted_below(self.base)) - fork_helpers()
            ),
            jails=self.tool("jls", "-d", "name"),
            rules=self.tool("rctl"),
            files=frozenset(str(path) for name in ("s", "t") for path in (self.state / name).glob("*")),
        )

    def _processes(self) -> Iterator[tuple[int, str]]:
        """All but the plugin's fork helper, which is made at the first start and ends with the plugin.

        Supervisors show the same command line, but none of them is the plugin's own child.
        """
        ours = self.network.processes() | rooted_below(self.base)
        plugins = {pid for pid, _parent, argv in processes() if argv.endswith("-m jail_driver")}
        for pid, parent, argv in processes():
            if pid in ours and not (parent in plugins and "fork_helper.py" in argv):
                yield pid, argv

    def wait_clean(self, before: Snapshot) -> None:
        """Waits until nothing is there that was not there before.

        Raises:
            AssertionError: with both pictures.
        """
        eventually_equal("the host", self.snapshot, before)

    def snapshot_without_processes(self) -> Snapshot:
        """The same for tests in which agent and plugin are other processes afterwards; the jailed ones count."""
        jailed = rooted_below(self.base)
        seen = self.snapshot()
        return replace(seen, processes=frozenset(one for one in seen.processes if one[0] in jailed))

    def tool(self, name: str, *argv: str) -> str:
        """What one of the jail tools prints, for example ``jls``."""
        done = self.network.run(str(self.base / "tools" / name), *argv)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self) -> str:
        """What agent and plugin wrote."""
        return (self.base / "agent.log").read_text(errors="replace")

    # -- what a test says to it -----------------------------------------------------------------------

    def request(self, method: str, path: str, body: object = None) -> Any:
        """One call of the HTTP API.

        Raises:
            RefusedError: the answer is not 200; the text is the agent's.
        """
        with self.network.entered():
            connection = http.client.HTTPConnection("127.0.0.1", 4646, timeout=30)
            connection.connect()
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise RefusedError(f"{method} {path}: {answer.status}: {text.decode(errors='replace')}")
        return json.loads(text) if text else None

    def get(self, path: str) -> Any:
        """GET."""
        return self.request("GET", path)

    def cli(self, *argv: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Runs the agent's own command line, as an operator does."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.base), "NOMAD_CLI_NO_COLOR": "1"}
        return self.network.run("nomad", *argv, timeout_s=timeout_s, env=environment)

    def run(self, job: str) -> Allocation:
        """Registers a job written in HCL with one group; its first allocation."""
        parsed = self.request("POST", "/v1/jobs/parse", {"JobHCL": job, "Canonicalize": True})
        self.request("POST", "/v1/jobs", {"Job": parsed})
        name = parsed["ID"]
        found = eventually(f"an allocation of {name}", lambda: self.get(f"/v1/job/{name}/allocations"))
        return Allocation(self, found[0]["ID"], name)

    def name(self, prefix: str = "job") -> str:
        """A job name that no other test of this agent uses."""
        self._serial += 1
        return f"{prefix}-{self._serial}"

    def dump(self, *argv: str) -> str:
        """``jail-task-driver state-dump`` on this agent's state directory."""
        done = self.network.run(
            sys.executable, "-m", "jail_driver", "state-dump", "--state-dir", str(self.state), *argv
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def histories(self, alloc_id: str) -> list[History]:
        """What the event store says of an allocation's tasks."""
        return history.read(
            self.dump("--json", alloc_id), self.dump("--json", "--events", alloc_id), alloc_id
        )

    def hook_environment(self) -> dict[str, str]:
        """The PATH that hooks have: the jail tools first."""
        return {"PATH": f"{self.base}/tools:/sbin:/bin:/usr/sbin:/usr/bin"}
