"""Services at the jail's own address, through a real agent."""

from __future__ import annotations

import subprocess
from typing import Any

from nomad.agent import Agent
from nomad.jobs import job, task
from nomad.system import eventually

CHECK = """
        check {
          type     = "http"
          path     = "/"
          interval = "1s"
          timeout  = "2s"
        }"""


def service(name: str, more: str = "") -> str:
    """A service of Nomad's own provider."""
    return f"""
      service {{
        name     = "{name}"
        provider = "nomad"
        port     = "http"
        {more}
      }}"""


def ports(more: str = "") -> str:
    """A group's network with one port."""
    return f'network {{\n port "http" {{\n {more}\n }}\n }}'


def registered(agent: Agent, name: str) -> dict[str, Any]:
    """A service's only registration, once it is there."""

    def look() -> Any:
        found = agent.get(f"/v1/service/{name}")
        return found[0] if found else None

    seen: dict[str, Any] = eventually(f"service {name}", look)
    return seen


def passing(agent: Agent, alloc: str) -> bool:
    """Whether all checks of an allocation succeed, as the agent itself tries them."""
    checks = agent.get(f"/v1/client/allocation/{alloc}/checks") or {}
    return bool(checks) and all(check["Status"] == "success" for check in checks.values())


class TestService:
    """What Nomad's provider hands out can be connected to."""

    def test_an_own_address(self, agent: Agent) -> None:
        """Registered at the jail's address and the port of ``to``; the task's variables say the same."""
        before = agent.snapshot()
        name, address = agent.name("svc"), "192.168.1.151"
        command = (
            "env | grep -E '^NOMAD_(HOST_)?(IP|ADDR|PORT)_http=' | sort;"
            " exec /usr/local/bin/http-echo -listen $NOMAD_ADDR_http -text served"
        )
        config = f'Path = "{agent.root}"\nIp4_addr = "em1|{address}"\nExec_start = "{command}"'
        network = ports("to = 9999")
        allocation = agent.run(job(name, network, task(config, more=service(name))))
        allocation.wait("running")
        found = registered(agent, name)
        assert (found["Address"], found["Port"]) == (address, 9999)
        page = eventually("an answer", lambda: agent.network.try_get(found["Address"], found["Port"]))
        assert page == "served\n"
        assert allocation.wait_log("listening").splitlines()[:6] == [
            f"NOMAD_ADDR_http={address}:9999",
            f"NOMAD_HOST_ADDR_http={address}:9999",
            f"NOMAD_HOST_IP_http={address}",
            "NOMAD_HOST_PORT_http=9999",
            f"NOMAD_IP_http={address}",
            "NOMAD_PORT_http=9999",
        ]
        allocation.stop()
        assert agent.get(f"/v1/service/{name}") in ([], None)
        agent.wait_clean(before)

    def test_an_own_ipv6_address(self, agent: Agent) -> None:
        """The same with IPv6: in brackets where a port follows, and usable when main starts."""
        agent.network.ip("-6", "address", "add", "fd00:1::1/64", "dev", "em1", "nodad")
        with agent.network.entered(outside=True):
            argv = ("ip", "-6", "address", "replace", "fd00:1::9/64", "dev", "wire", "nodad")
            subprocess.run(argv, check=True)
        try:
            before = agent.snapshot()
            name, address = agent.name("svc"), "fd00:1::51"
            command = (
                "echo $NOMAD_ADDR_http; exec /usr/local/bin/http-echo -listen $NOMAD_ADDR_http -text six"
            )
            config = f'Path = "{agent.root}"\nIp6_addr = "em1|{address}/64"\nExec_start = "{command}"'
            allocation = agent.run(job(name, ports("to = 9999"), task(config, more=service(name))))
            allocation.wait("running")
            found = registered(agent, name)
            assert (found["Address"], found["Port"]) == (address, 9999)
            page = eventually("an answer", lambda: agent.network.try_get(found["Address"], found["Port"]))
            assert page == "six\n"
            assert allocation.logs().startswith(f"[{address}]:9999\n")
            allocation.stop()
            agent.wait_clean(before)
        finally:
            agent.network.ip("-6", "address", "del", "fd00:1::1/64", "dev", "em1")

    def test_a_bridged_jail(self, agent: Agent) -> None:
        """A jail with its own network stack is registered at the address inside."""
        for words in (
            "link add bridge1 type bridge",
            "address add 10.6.0.1/24 dev bridge1",
            "link add keep type veth peer name kept",  # without a member a bridge's route is shown as down
            "link set keep master bridge1",
            "link set keep up",
            "link set kept up",
            "link set bridge1 up",
        ):
            agent.network.ip(*words.split())
        try:
            before = agent.snapshot()
            name = agent.name("svc")
            config = f"""
                Path = "{agent.root}"
                Vnet = true
                Bridge = "bridge1"
                Ip4_addr = "10.6.0.2/24"
                Gateway = "10.6.0.1"
                Exec_start = "/usr/local/bin/http-echo -listen :9999 -text bridged"
            """
            # Checks of Nomad's own provider know no driver's address: the service has to name it.
            more = service(name, f'address = "10.6.0.2"\n{CHECK}')
            allocation = agent.run(job(name, ports("static = 9999\n to = 9999"), task(config, more=more)))
            allocation.wait("running")
            found = registered(agent, name)
            assert (found["Address"], found["Port"]) == ("10.6.0.2", 9999)
            eventually("the check passes", lambda: passing(agent, allocation.id))
            allocation.stop()
            agent.wait_clean(before)
        finally:
            agent.network.ip("link", "del", "keep")
            agent.network.ip("link", "del", "bridge1")

    def test_the_hosts_address(self, agent: Agent) -> None:
        """Without an address of its own a task uses the host's ports, as Nomad gave them."""
        name = agent.name("svc")
        config = (
            f'Path = "{agent.root}"\nIp4 = "inherit"\n'
            'Exec_start = "/usr/local/bin/http-echo -listen ${NOMAD_ADDR_http} -text host"'
        )
        allocation = agent.run(job(name, ports(), task(config, more=service(name, CHECK))))
        allocation.wait("running")
        found = registered(agent, name)
        assert found["Address"] == "127.0.0.1"
        eventually("the check passes", lambda: passing(agent, allocation.id))
        allocation.stop()

    def test_a_port_without_to_is_told(self, agent: Agent) -> None:
        """Nomad would register it at port 0: the task's events say what to write."""
        config = f'Path = "{agent.root}"\nIp4_addr = "em1|192.168.1.152"\nExec_start = "sleep 60"'
        allocation = agent.run(job(agent.name("svc"), ports(), task(config)))
        seen = allocation.wait("running")
        eventually("the notice", lambda: "write `to = -1`" in (allocation.task() or seen).messages)
        allocation.stop()

    def test_dns(self, agent: Agent) -> None:
        """The group's dns block becomes the task's resolv.conf."""
        network = 'network {\n dns {\n servers = ["192.0.2.53"]\n searches = ["example.org"]\n }\n }'
        config = f'Path = "{agent.root}"\nExec_start = "cat /etc/resolv.conf"'
        allocation = agent.run(job(agent.name("dns"), network, task(config), kind="batch"))
        allocation.wait("dead")
        assert allocation.final_logs() == "nameserver 192.0.2.53\nsearch example.org\n"
        assert not (agent.root / "etc/resolv.conf").exists()
