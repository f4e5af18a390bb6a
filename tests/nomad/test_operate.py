"""A live task through the agent's own command line: exec, signals, stats, status, node."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nomad.agent import Agent
from nomad.allocation import Allocation
from nomad.jobs import job, task
from nomad.system import eventually, rooted_below

MIB = 1 << 20
TALK = "while :; do echo here; sleep 0.2; done"
BURN = "held = bytearray(b'x' * (100 << 20))\nwhile True: pass\n"


@contextmanager
def running(agent: Agent, command: str, more: str = "", memory_mb: int = 32) -> Iterator[Allocation]:
    """A service task that runs, stopped afterwards."""
    body = f'Path = "{agent.root}"\nMount_devfs = true\nExec_start = "{command}"'
    text = task(body, more=more).replace("memory = 32", f"memory = {memory_mb}")
    # Sooner healthy than after Nomad's ten seconds, for who waits for the deployment.
    group = '    update {\n      min_healthy_time = "1s"\n    }'
    allocation = agent.run(job(agent.name("op"), group, text))
    try:
        allocation.wait("running")
        yield allocation
    finally:
        allocation.stop()


def nomad(agent: Agent, *argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command line with a binary stdin, in the agent's network."""
    program = shutil.which("nomad")
    assert program is not None
    environment = {"PATH": os.environ["PATH"], "HOME": str(agent.base), "NOMAD_CLI_NO_COLOR": "1"}
    with agent.network.entered():
        process = subprocess.Popen(
            [program, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
    out, err = process.communicate(stdin, timeout=120)
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


@pytest.fixture(scope="module")
def sleeper(agent: Agent) -> Iterator[Allocation]:
    """A task that does nothing, with a secret in its environment."""
    with running(agent, "sleep 600", 'user = "nobody"\nenv {\n  SECRET = "s3cret"\n}') as allocation:
        yield allocation


class TestExec:
    """``nomad alloc exec``."""

    def test_streams_and_status(self, agent: Agent, sleeper: Allocation) -> None:
        """Each stream apart, and the command's own status; with the task's user and environment."""
        script = "echo out $SECRET $(id -un) $(pwd); echo err >&2; exit 43"
        done = nomad(agent, "alloc", "exec", "-i=false", "-t=false", sleeper.id, "/bin/sh", "-c", script)
        assert (done.returncode, done.stdout, done.stderr) == (43, b"out s3cret nobody /\n", b"err\n")

    def test_a_signal_is_128_and_its_number(self, agent: Agent, sleeper: Allocation) -> None:
        """As shells have it."""
        done = nomad(agent, "alloc", "exec", "-i=false", "-t=false", sleeper.id, "sh", "-c", "kill -TERM $$")
        assert done.returncode == 143

    def test_a_missing_program(self, agent: Agent, sleeper: Allocation) -> None:
        """A sentence, and the shell's 127."""
        done = nomad(agent, "alloc", "exec", "-i=false", "-t=false", sleeper.id, "nosuch")
        assert done.returncode == 127
        assert b"nosuch: not found in the jail's PATH" in done.stderr

    def test_ten_megabytes_through_and_back(self, agent: Agent, sleeper: Allocation) -> None:
        """Byte for byte, ended by the end of stdin."""
        data = os.urandom(10 * MIB)
        done = nomad(agent, "alloc", "exec", "-i", "-t=false", sleeper.id, "cat", stdin=data)
        assert done.returncode == 0, done.stderr
        assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()

    def test_many_at_once(self, agent: Agent, sleeper: Allocation) -> None:
        """A hundred command lines at once on one task, each with its own input, output and status."""

        def one(number: int) -> tuple[int, bytes, bytes]:
            argv = ("alloc", "exec", "-i", "-t=false", sleeper.id, "sh", "-c", f"cat; exit {number}")
            done = nomad(agent, *argv, stdin=b"%d" % number)
            return done.returncode, done.stdout, done.stderr

        with ThreadPoolExecutor(100) as pool:
            seen = list(pool.map(one, range(100)))
        assert seen == [(number, b"%d" % number, b"") for number in range(100)]

    def test_a_terminal(self, agent: Agent, sleeper: Allocation) -> None:
        """Keys go in, echo and output come back, the size is the caller's, ^C interrupts, ^D ends."""
        program = shutil.which("nomad")
        assert program is not None
        environment = {"PATH": os.environ["PATH"], "HOME": str(agent.base), "TERM": "xterm"}
        with agent.network.entered():
            pid, master = pty.fork()
            if pid == 0:
                argv = [program, "alloc", "exec", "-i", "-t", sleeper.id, "/bin/sh"]
                os.execve(program, argv, environment)  # noqa: S606  # in a child with a terminal of its own
        try:
            heard = expect(master, b"$ ")
            os.write(master, b"stty size; echo a$((40+2))b\r")
            heard = expect(master, b"a42b")
            assert re.search(rb"\d+ \d+\r\n", heard)
            os.write(master, b"sleep 100\r")
            time.sleep(0.5)
            os.write(master, b"\x03")
            expect(master, b"$ ")
            os.write(master, b"exit 7\r")
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == 7
        finally:
            os.close(master)

    def test_the_caller_is_gone(self, agent: Agent, sleeper: Allocation) -> None:
        """A command line that is killed takes its command with it; the task lives on.

        The agent notices when there is something to send; a silent command ends when heartbeats stay away.
        """
        before = rooted_below(agent.base)
        program = shutil.which("nomad")
        assert program is not None
        with agent.network.entered():
            process = subprocess.Popen(
                [program, "alloc", "exec", "-i=false", "-t=false", sleeper.id, "sh", "-c", TALK],
                env={"PATH": os.environ["PATH"], "HOME": str(agent.base)},
                stdout=subprocess.DEVNULL,
            )
        eventually("the command runs", lambda: rooted_below(agent.base) - before)
        process.kill()
        process.wait()
        eventually("the command is gone", lambda: rooted_below(agent.base) == before)
        assert sleeper.wait("running").restarts == 0

    def test_after_the_plugin_was_killed(self, agent: Agent, sleeper: Allocation) -> None:
        """The environment is still the task's: its supervisor has kept it."""
        agent.kill_plugin()
        argv = ("alloc", "exec", "-i=false", "-t=false", sleeper.id, "sh", "-c", "echo $SECRET")

        def look() -> bool:
            return nomad(agent, *argv).stdout == b"s3cret\n"

        eventually("commands run again", look, 60)
        agent.wait_healthy()


class TestSignal:
    """``nomad alloc signal``, ``nomad alloc restart``, ``nomad job restart``."""

    def test_by_name(self, agent: Agent) -> None:
        """Main gets it; an unknown one is refused by name."""
        with running(agent, "trap 'echo got it' USR2; echo up; while :; do sleep 0.1; done") as allocation:
            allocation.wait_log("up")
            assert agent.cli("alloc", "signal", "-s", "SIGUSR2", allocation.id).returncode == 0
            allocation.wait_log("got it")
            refused = agent.cli("alloc", "signal", "-s", "SIGFOO", allocation.id)
            assert refused.returncode != 0
            assert '"SIGFOO": no such signal; FreeBSD has SIGABRT' in refused.stderr + refused.stdout

    def test_restart(self, agent: Agent) -> None:
        """A restart is a new start of the same task, once for each command."""
        with running(agent, "echo up; sleep 600") as allocation:
            assert agent.cli("alloc", "restart", allocation.id).returncode == 0
            eventually("one restart", lambda: allocation.wait("running").restarts == 1)
            eventually("two lines", lambda: allocation.logs().count("up") == 2)
            # The command refuses while a deployment runs, and that of the job's start waits for its health.
            deployment = f"/v1/job/{allocation.job}/deployment"
            eventually("deployed", lambda: agent.get(deployment)["Status"] == "successful", 60)
            done = agent.cli("job", "restart", "-yes", allocation.job)
            assert done.returncode == 0, done.stderr
            eventually("two restarts", lambda: allocation.wait("running").restarts == 2)


class TestFigures:
    """``nomad alloc status -stats`` and the stats API."""

    def test_a_busy_task(self, agent: Agent) -> None:
        """One core burnt, 100 MB held: what the agent shows is within a tenth of what the host says."""
        python = os.path.realpath(sys.executable)
        template = f'template {{\n  data = <<EOT\n{BURN}EOT\n  destination = "local/burn.py"\n}}'
        before = rooted_below(agent.base)
        with running(agent, f"{python} -I -S /local/burn.py", template, memory_mb=300) as allocation:

            def inside() -> set[int]:
                return rooted_below(agent.base) - before

            def resident() -> int:
                status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in inside())
                return sum(int(kib) * 1024 for kib in re.findall(r"VmRSS:\s+(\d+)", status))

            eventually("it holds its memory", lambda: resident() > 100 * MIB)
            eventually("the first figures", lambda: figures(allocation))
            time.sleep(2)
            began_s, used_s = time.monotonic(), cpu_s(inside())
            percents = []
            for _ in range(6):
                time.sleep(1)
                usage = figures(allocation)
                percents.append(usage["CpuStats"]["Percent"])
            truth = (cpu_s(inside()) - used_s) / (time.monotonic() - began_s) * 100
            assert sum(percents) / len(percents) == pytest.approx(truth, rel=0.1)
            assert usage["MemoryStats"]["RSS"] == pytest.approx(resident(), rel=0.1)
            assert set(usage["MemoryStats"]["Measured"]) == {"RSS", "Swap", "Usage", "Max Usage"}
            shown = agent.cli("alloc", "status", "-stats", allocation.id).stdout
            assert re.search(r"Memory Stats", shown)
            assert re.search(r"1\d\d MiB", shown)
            assert re.search(r"[1-9]\d*/20 MHz", shown), shown


class TestSeen:
    """What an operator reads."""

    def test_alloc_status(self, sleeper: Allocation) -> None:
        """The jail by number and name among the task's events."""
        assert re.search(r"jail \d+ \(t-[0-9a-f]{16}\) created", sleeper.wait("running").messages)
        assert re.search(r"jail \d+ \(t-[0-9a-f]{16}\) created", sleeper.status())

    def test_node_status(self, agent: Agent) -> None:
        """The driver's attributes and health, in words."""
        node = agent.get("/v1/nodes")[0]["ID"]
        seen = json.loads(agent.cli("node", "status", "-json", node).stdout)
        attributes = {
            name.removeprefix("driver.jail-task-driver."): value
            for name, value in seen["Attributes"].items()
            if name.startswith("driver.jail-task-driver")
        }
        assert attributes["driver.jail-task-driver"] == "1"
        assert {"version", "schema", "release", "racct", "vnet", "jails", "parameters"} <= set(attributes)
        assert seen["Drivers"]["jail-task-driver"]["HealthDescription"].startswith("ready")
        assert "jail-task-driver" in agent.cli("node", "status", "-self", "-verbose").stdout

    def test_a_sick_driver(self, agent: Agent) -> None:
        """The reason is shown, no task is placed, and it heals by itself."""
        jls = agent.base / "tools/jls"
        jls.chmod(0o600)
        node = "/v1/node/" + agent.get("/v1/nodes")[0]["ID"]
        try:
            words = f"{jls}: missing or not executable"
            eventually(
                "unhealthy",
                lambda: words in agent.get(node)["Drivers"]["jail-task-driver"]["HealthDescription"],
                60,
            )
            assert agent.get(node)["Drivers"]["jail-task-driver"]["Healthy"] is False
        finally:
            jls.chmod(0o755)
        agent.wait_healthy()


def figures(allocation: Allocation) -> Mapping[str, Any]:
    """The newest figures of the task, empty before the first."""
    tasks = allocation.agent.get(f"/v1/client/allocation/{allocation.id}/stats")["Tasks"]
    found: Mapping[str, Any] = tasks["t"]["ResourceUsage"] if "t" in tasks else {}
    return found


def cpu_s(pids: set[int]) -> float:
    """The processor time of processes, seconds (proc(5), stat)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def expect(master: int, text: bytes, timeout_s: float = 20.0) -> bytes:
    """Reads a terminal until it has shown a text."""
    heard = b""
    deadline = time.monotonic() + timeout_s
    while text not in heard:
        left_s = deadline - time.monotonic()
        assert left_s > 0, heard
        if select.select([master], [], [], left_s)[0]:
            heard += os.read(master, 65536)
    return heard
