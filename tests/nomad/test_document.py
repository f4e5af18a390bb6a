"""The document's two tasks, run by a real agent; only what the document leaves to the host is changed."""

from __future__ import annotations

from nomad.agent import Agent
from nomad.jobs import job, task
from nomad.system import eventually

HTTP_ECHO = """
            Path  = "{root}"
            Allow_raw_sockets = true
            Allow_chflags     = true
            Ip4_addr          = "em1|192.168.1.102"
            Exec_start        = "/usr/local/bin/http-echo -listen :9999 -text hello"
            Rctl {equals} {{
                Vmemoryuse {equals} {{
                    Action = "deny"
                    Amount = "1G"
                    Per = "process"
                }}
                Openfiles {equals} {{
                    Action = "deny"
                    Amount = "500"
                }}
            }}
"""
VNET = """
        Path    = "{root}"
        Host_hostname = "nomad00"
        Exec_clean = true
        Exec_start = "sh /etc/rc"
        Exec_stop = "sh /etc/rc.shutdown"
        Mount_devfs = true
        Exec_prestart = ["logger trying to start ", "{jib} addm loghost em1"]
        Exec_poststart = "logger jail has started"
        Exec_prestop = "logger shutting down jail "
        Exec_poststop = ["logger has shut down jail ", "{jib} destroy loghost "]
        Exec_consolelog = "{console}"
        Vnet = true
        Vnet_nic = "e0b_loghost"
"""


def states(agent: Agent, alloc: str) -> list[str]:
    """The states that the event store says an allocation's only task went through."""
    return [state for history in agent.histories(alloc) for state in history.states]


def check_http_echo(agent: Agent, equals: str) -> None:
    """Runs the first task from start to stop."""
    before = agent.snapshot()
    config = HTTP_ECHO.format(root=agent.root, equals=equals)
    allocation = agent.run(job(agent.name("echo"), task(config, "http-echo-jail")))
    allocation.wait("running")
    answer = eventually("an answer", lambda: agent.network.try_get("192.168.1.102", 9999))
    assert answer == "hello\n"
    assert "em1 192.168.1.102/32" in agent.network.addresses()
    [name] = [history.jail for history in agent.histories(allocation.id)]
    assert set(agent.tool("rctl").split()) >= {
        f"jail:{name}:vmemoryuse:deny=1073741824/process",
        f"jail:{name}:openfiles:deny=500",
    }
    assert "listening on :9999" in allocation.wait_log("listening")
    allocation.stop()
    assert states(agent, allocation.id) == ["pending", "prestart", "running", "prestop", "stopped"]
    agent.wait_clean(before)


class TestHttpEcho:
    """The first example of the document."""

    def test_rctl_as_an_attribute(self, agent: Agent) -> None:
        """With ``Rctl = {…}`` it answers hello on its own address, and leaves the host as it was."""
        check_http_echo(agent, "=")

    def test_rctl_as_a_block(self, agent: Agent) -> None:
        """With ``Rctl {…}`` the same."""
        check_http_echo(agent, "")


class TestVnet:
    """The second example: a jail with its own network stack, made and unmade by hooks."""

    def test_hooks_interface_and_console(self, agent: Agent) -> None:
        """Its daemon answers on the bridged interface; each hook ran once, in order; the pair is gone."""
        agent.network.run(str(agent.base / "share/jib"), "addm", "first", "em1", env=agent.hook_environment())
        agent.network.run(str(agent.base / "share/jib"), "destroy", "first", env=agent.hook_environment())
        before = agent.snapshot()  # with em1bridge, which jib leaves behind by design
        console = agent.base / "console"
        config = VNET.format(root=agent.root, jib=agent.base / "share/jib", console=console)
        allocation = agent.run(job(agent.name("vnet"), task(config, "test01")))
        allocation.wait("running")
        assert (
            eventually("an answer", lambda: agent.network.try_get("192.168.1.103", 9998)) == "from the vnet\n"
        )
        assert "e0b_loghost" not in agent.network.interfaces()
        assert "e0a_loghost" in agent.network.interfaces()
        assert "starting as nomad00" in allocation.wait_log("starting as")
        allocation.stop()
        assert (agent.base / "logger.log").read_text().splitlines() == [
            "trying to start",
            "jail has started",
            "shutting down jail",
            "has shut down jail",
        ]
        assert console.read_text().splitlines() == ["starting as nomad00", "shutting down"]
        assert console.stat().st_mode & 0o777 == 0o600
        assert states(agent, allocation.id) == ["pending", "prestart", "running", "prestop", "stopped"]
        agent.wait_clean(before)
        # em1 answers for its own IPv6 addresses only out of the bridge: the tests of this agent go on with it.
        agent.network.ip("link", "delete", "em1bridge")
