"""Parts of Nomad that reach into a driver from afar: templates, drains, leaders, dispatches, identities, actions."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typing_extensions import override

from nomad.agent import Agent
from nomad.allocation import Allocation
from nomad.jobs import job, task
from nomad.system import eventually, mounts_below

COUNTING = "n=0; trap 'n=$((n+1)); echo signal $n $(cat /local/color)' HUP; echo up $(cat /local/color); "
COUNTING += "while :; do sleep 0.1; done"


def body(agent: Agent, command: str) -> str:
    """A config block on the shared root; the command must hold no double quote."""
    return f'Path = "{agent.root}"\nExec_start = "{command}"'


def colored(name: str, change: str) -> str:
    """A template that shows a variable of the job."""
    return f"""
    template {{
      data        = "{{{{ with nomadVar \\"nomad/jobs/{name}\\" }}}}{{{{ .color }}}}{{{{ end }}}}\\n"
      destination = "local/color"
      {change}
    }}
"""


def paint(agent: Agent, name: str, color: str) -> None:
    """Sets the job's variable."""
    path = f"nomad/jobs/{name}"
    agent.request("PUT", f"/v1/var/{path}", {"Path": path, "Items": {"color": color}})


class TestTemplates:
    """A template that changes while the task runs."""

    def test_signal(self, agent: Agent) -> None:
        """Main gets the signal and reads the new text; nothing is restarted."""
        name = agent.name("signal")
        paint(agent, name, "red")
        change = 'change_mode = "signal"\n      change_signal = "SIGHUP"'
        allocation = agent.run(job(name, task(body(agent, COUNTING), more=colored(name, change))))
        allocation.wait_log("up red")
        paint(agent, name, "blue")
        allocation.wait_log("signal 1 blue")
        seen = allocation.task()
        assert seen is not None
        assert seen.restarts == 0
        allocation.stop()

    def test_restart(self, agent: Agent) -> None:
        """Another main, in another jail, with the new text."""
        name = agent.name("again")
        paint(agent, name, "red")
        text = task(body(agent, COUNTING), more=colored(name, 'change_mode = "restart"'))
        allocation = agent.run(job(name, text))
        allocation.wait_log("up red")
        paint(agent, name, "blue")
        allocation.wait_log("up blue")
        allocation.stop()

    def test_script(self, agent: Agent) -> None:
        """The script runs beside main, in its jail."""
        name = agent.name("script")
        paint(agent, name, "red")
        change = """change_mode = "script"
      change_script {
        command = "/bin/sh"
        args    = ["-c", "pwd > /alloc/ran; cat /local/color >> /alloc/ran"]
        fail_on_error = true
      }"""
        text = task(body(agent, COUNTING), more=colored(name, change))
        allocation = agent.run(job(name, text))
        allocation.wait_log("up red")
        paint(agent, name, "blue")
        ran = agent.base / "data/alloc" / allocation.id / "alloc/ran"
        eventually("the script has run", lambda: ran.exists() and ran.read_text().endswith("blue\n"))
        seen = allocation.task()
        assert seen is not None
        assert (seen.state, seen.restarts) == ("running", 0)
        allocation.stop()


class TestEnds:
    """Ways in which Nomad ends a task without its job being stopped."""

    def test_a_leader(self, agent: Agent) -> None:
        """Its end ends the others, by their kill_signal."""
        other = body(agent, "trap 'echo told; exit 0' INT; echo up; while :; do sleep 0.1; done")
        leader = body(agent, "while [ ! -e /alloc/go ]; do sleep 0.1; done; exit 0")
        text = job(
            agent.name("leader"),
            task(leader, "main", "leader = true"),
            task(other, "side", 'kill_signal = "SIGINT"'),
            kind="batch",
        )
        allocation = agent.run(text)
        eventually("the other is up", lambda: "up" in _log(allocation, "side"), 45)
        (agent.base / "data/alloc" / allocation.id / "alloc/go").touch()
        allocation.wait("dead", "main")
        side = allocation.wait("dead", "side")
        assert side.exit() == (0, 0)
        assert "told" in allocation.final_logs(task="side")

    def test_a_shutdown_delay(self, agent: Agent) -> None:
        """The task lives on for the delay, and is then stopped as always."""
        command = "trap 'echo told; exit 4' TERM; echo up; while :; do sleep 0.1; done"
        more = 'shutdown_delay = "2s"\nkill_signal = "SIGTERM"'
        allocation = agent.run(job(agent.name("delay"), task(body(agent, command), more=more)))
        allocation.wait_log("up")
        allocation.stop()
        seen = allocation.task()
        assert seen is not None
        assert seen.exit() == (4, 0)
        events = {event["Type"]: event["Time"] for event in seen.events}
        assert events["Terminated"] - events["Waiting for shutdown delay"] >= 2e9

    def test_a_drain(self, agent: Agent) -> None:
        """The node is emptied, and takes tasks again afterwards."""
        before = agent.snapshot()
        name = agent.name("drained")
        allocation = agent.run(job(name, task(body(agent, "sleep 600"))))
        allocation.wait("running")
        node = agent.get("/v1/nodes")[0]["ID"]
        drained = agent.cli("node", "drain", "-enable", "-yes", "-deadline", "30s", node, timeout_s=90)
        try:
            assert drained.returncode == 0, drained.stderr
            allocation.wait("dead")
            agent.wait_clean(before)
        finally:
            agent.cli("node", "drain", "-disable", "-yes", node)
        agent.request("DELETE", f"/v1/job/{name}")
        eventually(
            "the node takes tasks", lambda: agent.get("/v1/nodes")[0]["SchedulingEligibility"] == "eligible"
        )

    def test_garbage_is_collected(self, agent: Agent) -> None:
        """Nomad removes an ended allocation's directory, in which nothing of ours is mounted any more."""
        command = "mkdir /alloc/own; echo done; exit 0"
        name = agent.name("gc")
        allocation = agent.run(job(name, task(body(agent, command)), kind="batch"))
        allocation.wait("dead")
        directory = agent.base / "data/alloc" / allocation.id
        assert directory.exists()
        assert not [mount for mount in mounts_below(agent.state) if allocation.id in mount]
        agent.request("DELETE", f"/v1/job/{name}?purge=true")
        agent.request("PUT", "/v1/system/gc")
        eventually("its directory is gone", lambda: not directory.exists(), 60)


def _log(allocation: Allocation, name: str) -> str:
    try:
        return allocation.logs(task=name)
    except AssertionError:
        return ""  # the file appears with the first line


class TestInputs:
    """What Nomad puts into a task's directories."""

    def test_a_dispatch_payload(self, agent: Agent) -> None:
        """Its text is a file in /local, its meta an environment variable."""
        name = agent.name("dispatch")
        command = "cat /local/input.txt; echo $NOMAD_META_who; exit 0"
        text = job(
            name,
            task(body(agent, command), more='dispatch_payload {\n  file = "input.txt"\n}'),
            kind="batch",
        )
        head = 'type = "batch"\n  parameterized {\n    payload = "required"\n    meta_required = ["who"]\n  }'
        parsed = agent.request(
            "POST",
            "/v1/jobs/parse",
            {"JobHCL": text.replace('type = "batch"', head), "Canonicalize": True},
        )
        agent.request("POST", "/v1/jobs", {"Job": parsed})
        order = {"Payload": base64.b64encode(b"hello\n").decode(), "Meta": {"who": "me"}}
        child = agent.request("PUT", f"/v1/job/{name}/dispatch", order)["DispatchedJobID"]
        found = eventually(
            "its allocation", lambda: agent.get(f"/v1/job/{child.replace('/', '%2F')}/allocations")
        )
        allocation = Allocation(agent, found[0]["ID"], child)
        assert allocation.wait("dead").exit() == (0, 0)
        assert allocation.final_logs() == "hello\nme\n"

    @pytest.mark.parametrize("user", ["", "nobody"])
    def test_an_identity(self, agent: Agent, user: str) -> None:
        """The token is in /secrets, readable by the task's user, and in the environment."""
        command = (
            "test -s /secrets/nomad_token && test $NOMAD_TOKEN = $(cat /secrets/nomad_token) && echo same"
        )
        more = "identity {\n  env = true\n  file = true\n}\n" + (f'user = "{user}"' if user else "")
        allocation = agent.run(
            job(agent.name("identity"), task(body(agent, command), more=more), kind="batch")
        )
        assert allocation.wait("dead").exit() == (0, 0), allocation.logs("-stderr")
        assert allocation.final_logs() == "same\n"

    def test_an_artifact(self, agent: Agent) -> None:
        """What Nomad has downloaded is in /local, its mode as asked."""
        with served(agent, b"#!/bin/sh\necho fetched\n") as url:
            more = f'artifact {{\n  source = "{url}/tool"\n  mode = "file"\n  destination = "local/tool"\n}}'
            text = task(body(agent, "sh /local/tool"), more=more)
            allocation = agent.run(job(agent.name("artifact"), text, kind="batch"))
            assert allocation.wait("dead").exit() == (0, 0)
            assert allocation.final_logs() == "fetched\n"


@contextmanager
def served(agent: Agent, content: bytes) -> Iterator[str]:
    """A web server on the agent's own loopback that always answers the same; its URL."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:  # the library's name
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(content)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Be quiet."""

    with agent.network.entered():
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_without_a_log(agent: Agent) -> None:
    """A task whose logs are not collected runs as any other, and its output goes nowhere."""
    command = (
        "i=0; while [ $i -lt 3000 ]; do echo a line that fills a pipe sooner or later $i; i=$((i+1)); done"
    )
    more = "logs {\n  disabled = true\n}"
    allocation = agent.run(
        job(agent.name("silent"), task(body(agent, f"{command}; exit 7"), more=more), kind="batch")
    )
    assert allocation.wait("dead").exit() == (7, 0)
    assert agent.cli("alloc", "logs", allocation.id).returncode != 0


def test_an_action(agent: Agent) -> None:
    """A command that the job offers runs in the jail, with the task's environment."""
    name = agent.name("action")
    action = """
      env {
        COLOR = "green"
      }
      action "look" {
        command = "/bin/sh"
        args    = ["-c", "echo $COLOR in $NOMAD_TASK_DIR; exit 3"]
      }
"""
    allocation = agent.run(job(name, task(body(agent, "sleep 600"), more=action)))
    allocation.wait("running")
    done = agent.cli("action", "-job", name, "-group", "g", "-task", "t", "look")
    assert (done.returncode, done.stdout) == (3, "green in /local\n"), done.stderr
    allocation.stop()
