"""Files that a task gets of its own: resolv.conf(5) and hosts(5). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from jail_driver.config.model import JailConfig
from jail_driver.engine.planning.network import own_address
from jail_driver.model import Dns, TaskSpec

PLACES: Mapping[str, str] = {"resolv.conf": "/etc/resolv.conf", "hosts": "/etc/hosts"}
"""Where each is mounted inside, by its name in the task's directory."""


def own_files(spec: TaskSpec, config: JailConfig) -> dict[str, str]:
    """Return the texts of the files that this task gets, by name; most tasks get none.

    resolv.conf comes from Nomad's ``dns`` block, hosts from ``Hosts``. Without them the root's own are seen.
    """
    found = {}
    if spec.dns is not None and (spec.dns.servers or spec.dns.searches or spec.dns.options):
        found["resolv.conf"] = resolv_conf(spec.dns)
    if config.hosts:
        found["hosts"] = hosts_file(config)
    return found


def resolv_conf(dns: Dns) -> str:
    """Return the text of resolv.conf(5)."""
    lines = [f"nameserver {_word(server)}" for server in dns.servers]
    if dns.searches:
        lines.append("search " + " ".join(map(_word, dns.searches)))
    if dns.options:
        lines.append("options " + " ".join(map(_word, dns.options)))
    return "".join(f"{line}\n" for line in lines)


def hosts_file(config: JailConfig) -> str:
    """Return the text of hosts(5): localhost, the task's own name at its own address, the job's lines."""
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    name = _word(config.params.get("host.hostname") or "")
    if name:
        short = name.partition(".")[0]
        lines.append(f"{own_address(config) or '127.0.0.1'} {name}{'' if short == name else f' {short}'}")
    return "".join(f"{line}\n" for line in (*lines, *config.hosts))


def _word(text: str) -> str:
    """Keep what would start another line, or another word, out of one word."""
    return "".join(text.split())
