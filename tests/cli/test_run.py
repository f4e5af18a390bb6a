"""The main job, run as a newcomer runs it: ``make run``'s program, and ``run`` with other jobs.

Real processes all the way: the plugin over its socket, the jail tools of this host, a jail with the demo
root. Needs root, or user namespaces.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(180)
TREE = Path(__file__).parents[2]
DROP = Path(__file__).with_name("drop.py")
NOBODY = 65534
HTTP_ECHO = TREE / "docs/examples/http-echo.nomad.hcl"
STATES = ["pending", "prestart", "running", "prestop", "stopped"]
JOB = """
variable "root" {{
  type = string
}}
task "t" {{
  driver       = "jail-task-driver"
  kill_timeout = "3s"
  config {{
    Path       = var.root
    Exec_start = {start}
  }}
}}
"""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def base() -> Iterator[Path]:
    """A short directory that anybody may enter; gone afterwards, and nothing may be mounted in it."""
    directory = Path(tempfile.mkdtemp(prefix="jr", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    if str(directory) not in Path("/proc/self/mountinfo").read_text():
        shutil.rmtree(directory)


class Demo:
    """One run of the demonstration program, as its own process group.

    Args:
        base: where it keeps root and state.
        job: the job file.
        options: more options of the program.
        uid: who runs it; None: whoever runs the tests.
    """

    def __init__(self, base: Path, job: Path, *options: str, uid: int | None = None) -> None:
        self.base = base
        argv = [
            sys.executable,
            "-I",
            "-m",
            "jail_driver.cli.demo",
            str(job),
            "--base",
            str(base / "d"),
            *options,
        ]
        if uid is not None:
            argv = [sys.executable, str(DROP), str(uid), *argv]
            os.chown(base, uid, uid)
        self.log = base / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": os.environ["PATH"], "HOME": str(base), "TMPDIR": str(base)},
            )

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, timeout_s: float = 80.0) -> str:
        """Waits until something is printed; what the pattern's group caught."""
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.text)):
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)
        return found[found.lastindex or 0]

    def end(self, timeout_s: float = 80.0) -> int:
        """Waits for the end; the exit status."""
        status = self.process.wait(timeout_s)
        if "no user namespace can be had" in self.text:
            pytest.skip(self.text.strip())
        return status

    def states(self) -> list[str]:
        """The states that were printed, in order."""
        return re.findall(rf"^== ({'|'.join(STATES)})\b", self.text, re.MULTILINE)

    def leftovers(self) -> list[str]:
        """Mounts below the base, and processes that run in it or of it, as the system shows them."""
        mounts = [
            line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.base) in line
        ]
        running = []
        for directory in Path("/proc").iterdir():
            if directory.name.isdigit():
                try:
                    seen = str((directory / "root").readlink()) + (directory / "cmdline").read_text()
                except OSError:
                    continue
                if str(self.base) in seen:
                    running.append(seen)
        return mounts + running


def job_file(base: Path, start: str) -> Path:
    """Writes a job file; ``start`` is HCL."""
    path = base / "job.nomad.hcl"
    path.write_text(JOB.format(start=start))
    return path


def http_echo(base: Path, port: int) -> Path:
    """The documentation's job file, on a port of ours."""
    path = base / "http-echo.nomad.hcl"
    path.write_text(HTTP_ECHO.read_text().replace(":9999", f":{port}"))
    return path


class TestHttpEcho:
    """The document's first task."""

    @pytest.mark.parametrize(
        "uid",
        [
            None,
            pytest.param(
                NOBODY,
                marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
            ),
        ],
    )
    def test_hello_and_the_states(self, base: Path, uid: int | None) -> None:
        """It answers hello, its states are printed in order, and nothing is left; so too without root."""
        port = free_port()
        url = f"http://127.0.0.1:{port}/"
        demo = Demo(base, http_echo(base, port), "--fetch", url, "--for", "0.5", uid=uid)
        assert demo.end() == 0, demo.text
        assert f"GET {url}: 200 hello" in demo.text
        assert demo.states() == STATES
        assert "== the task ended with status 0" in demo.text
        assert demo.leftovers() == []

    def test_until_ctrl_c(self, base: Path) -> None:
        """It serves until Ctrl-C, which the whole terminal gets, and then ends in good order."""
        port = free_port()
        demo = Demo(base, http_echo(base, port), "--for", "100")
        demo.wait_for("listening")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert opener.open(f"http://127.0.0.1:{port}/", timeout=5).read() == b"hello\n"
        os.killpg(demo.process.pid, signal.SIGINT)
        assert demo.end() == 0, demo.text
        assert demo.states() == STATES
        assert demo.leftovers() == []

    def test_the_plugin_is_killed(self, base: Path) -> None:
        """Another plugin takes over, and the same process goes on answering."""
        port = free_port()
        demo = Demo(base, http_echo(base, port), "--for", "4")
        main = demo.wait_for(r"main is process (\d+)")
        demo.wait_for("listening")
        os.kill(plugin_of(demo.process.pid), signal.SIGKILL)
        demo.wait_for("a new one takes over")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert opener.open(f"http://127.0.0.1:{port}/", timeout=5).read() == b"hello\n"
        assert demo.end() == 0, demo.text
        assert re.findall(r"main is process (\d+)", demo.text) == [main]
        assert demo.states() == STATES
        assert demo.leftovers() == []

    def test_everything_is_killed(self, base: Path) -> None:
        """The next run ends what a killed one has left, and serves at the same place."""
        port = free_port()
        first = Demo(base, http_echo(base, port), "--for", "100")
        first.wait_for("listening")
        os.kill(plugin_of(first.process.pid), signal.SIGKILL)
        first.process.kill()
        first.process.wait()
        url = f"http://127.0.0.1:{port}/"
        demo = Demo(base, http_echo(base, port), "--fetch", url, "--for", "0.5")
        assert demo.end() == 0, demo.text
        assert "which a killed run has left" in demo.text
        assert f"GET {url}: 200 hello" in demo.text
        assert demo.leftovers() == []


class TestOutcome:
    """The exit status is the task's."""

    @pytest.mark.parametrize(
        ("start", "status", "words"),
        [
            ('"exit 7;"', 7, "the task ended with status 7"),
            ('"kill -9 $$"', 128 + 9, "signal 9 ended the task"),
            ('["echo one", "echo two"]', 0, "one"),
        ],
    )
    def test_status(self, base: Path, start: str, status: int, words: str) -> None:
        """A status is passed on, a signal as a shell passes it on."""
        demo = Demo(base, job_file(base, start))
        assert demo.end() == status, demo.text
        assert words in demo.text
        assert demo.leftovers() == []

    def test_a_start_that_fails(self, base: Path) -> None:
        """It is one sentence, and 1."""
        demo = Demo(base, job_file(base, '"/no/such/program"'))
        assert demo.end() == 1, demo.text
        assert "no such program" in demo.text
        assert "Traceback" not in demo.text
        assert demo.leftovers() == []

    def test_a_task_that_ignores_the_signal(self, base: Path) -> None:
        """It is killed when its kill_timeout is over."""
        demo = Demo(
            base, job_file(base, "\"trap '' TERM; echo up-$((40 + 2)); while :; do sleep 0.1; done\"")
        )
        demo.wait_for("up-42")  # A temporary directory had "up" in its name once.
        demo.process.send_signal(signal.SIGTERM)
        assert demo.end() == 128 + 9, demo.text


def plugin_of(pid: int) -> int:
    """The plugin that a run has launched: its child."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                parent = (directory / "stat").read_text().rpartition(")")[2].split()[1]
                argv = (directory / "cmdline").read_text()
            except OSError:
                continue
            if parent == str(pid) and argv.endswith("jail_driver\0"):
                return int(directory.name)
    raise AssertionError(f"process {pid} has no plugin")
