"""Parameters and limits through a real agent: what an operator writes, and what is read back."""

from __future__ import annotations

import json

import pytest

from nomad.agent import Agent
from nomad.jobs import job, task

FIVE_MISTAKES = """
        Path           = "{root}/nowhere"
        Enforce_statfs = 7
        Zfs            = "new"
        Ip4_addr       = "em1|300.1.1.1"
        Exec_start     = "true"
        Rctl = {{
          Cputime = {{ Action = "deny", Amount = "5" }}
        }}
"""
FIVE_REASONS = {
    "Path": "no such directory on this node",
    "Enforce_statfs": "out of range",
    "Zfs": "kldload zfs",
    "Ip4_addr": "300.1.1.1",
    "Rctl Cputime": "the kernel cannot deny it",
}
LIMITS = """
        Path       = "{root}"
        Exec_start = "{command}"
        Rctl {{
          {limits}
        }}
"""


def small(text: str, memory: int) -> str:
    """A job's text with another memory limit, MB."""
    assert "memory = 32" in text
    return text.replace("memory = 32", f"memory = {memory}")


def test_five_mistakes_five_reasons(agent: Agent) -> None:
    """One start, one answer: every mistake with its reason, in ``nomad alloc status``; nothing is left."""
    before = agent.snapshot()
    config = FIVE_MISTAKES.format(root=agent.root)
    allocation = agent.run(job(agent.name("mistakes"), task(config), kind="batch"))
    ended = allocation.wait("dead")
    assert ended.failed
    failure = ended.event("Driver Failure")
    assert failure is not None, ended.messages
    sentences = failure["DisplayMessage"].split("; ")
    for key, reason in FIVE_REASONS.items():
        assert any(key in one and reason in failure["DisplayMessage"] for one in sentences), (key, failure)
    shown = " ".join(allocation.status().split())
    assert all(reason in shown for reason in FIVE_REASONS.values()), shown
    agent.wait_clean(before)


@pytest.mark.parametrize(
    ("line", "suggested"),
    [("allow_raw_sockets = true", "Allow_raw_sockets"), ("Alow_chflags = true", "Allow_chflags")],
    ids=["case", "spelling"],
)
def test_a_misspelt_key(agent: Agent, line: str, suggested: str) -> None:
    """Nomad itself refuses it by the driver's schema, and names the key that was meant."""
    before = agent.snapshot()
    config = f'Path = "{agent.root}"\n{line}\nExec_start = "true"'
    ended = agent.run(job(agent.name("misspelt"), task(config), kind="batch")).wait("dead")
    assert ended.failed
    assert line.split(maxsplit=1)[0] in ended.messages
    assert f'Did you mean "{suggested}"?' in ended.messages
    agent.wait_clean(before)


class TestMemory:
    """The resources block's memory."""

    def test_oom_killed(self, agent: Agent) -> None:
        """A main that takes more than its memory is reported as killed for it, not as a failure to guess at."""
        before = agent.snapshot()
        command = "exec python3 -c 'x = bytearray(200 << 20)'"
        body = f'Path = "{agent.root}"\nExec_start = "{command}"'
        allocation = agent.run(small(job(agent.name("oom"), task(body), kind="batch"), 48))
        ended = allocation.wait("dead")
        terminated = ended.event("Terminated")
        assert terminated is not None, ended.messages
        assert terminated["Details"]["oom_killed"] == "true", ended.messages
        assert (terminated["ExitCode"], terminated["Signal"]) == (137, 9)
        assert "main was killed at its memory limit" in ended.messages
        assert "main was killed at its memory limit" in " ".join(allocation.status().split())
        agent.wait_clean(before)

    def test_a_killed_worker(self, agent: Agent) -> None:
        """It is an event of the task, whose end is main's own."""
        command = "python3 -c 'x = bytearray(200 << 20)'; echo worker $?; exit 3"
        body = f'Path = "{agent.root}"\nExec_start = "{command}"'
        allocation = agent.run(small(job(agent.name("worker"), task(body), kind="batch"), 48))
        ended = allocation.wait("dead")
        terminated = ended.event("Terminated")
        assert terminated is not None, ended.messages
        assert (terminated["ExitCode"], terminated["Details"]["oom_killed"]) == (3, "false")
        assert "of the task was killed at the memory limit (memoryuse 50331648)" in ended.messages
        assert allocation.final_logs() == "worker 137\n"


@pytest.mark.parametrize(
    ("limits", "command", "wanted"),
    [
        ('Maxproc { Action = "deny", Amount = 3 }', "for i in 1 2 3 4 5; do sleep 1 & done; echo no", ""),
        ('Openfiles { Action = "deny", Amount = 9, Per = "process" }', "ulimit -n; true", "9\n"),
    ],
    ids=["Maxproc", "Openfiles"],
)
def test_limits_bite(agent: Agent, limits: str, command: str, wanted: str) -> None:
    """Processes and open files end where the rule says, and the rules go with the task."""
    before = agent.snapshot()
    config = LIMITS.format(root=agent.root, command=command, limits=_block(limits))
    allocation = agent.run(job(agent.name("limits"), task(config), kind="batch"))
    allocation.wait("dead")
    assert allocation.final_logs() == wanted
    agent.wait_clean(before)


def _block(text: str) -> str:
    """A block over several lines, as HCL wants it."""
    return text.replace("{ ", "{\n").replace(", ", "\n").replace(" }", "\n}")


def test_what_cannot_be_enforced_is_said(agent: Agent) -> None:
    """A limit that this host only writes down is an event at the start, not a surprise later."""
    limits = _block('Wallclock { Action = "sigterm", Amount = 1 }')
    config = LIMITS.format(root=agent.root, command="sleep 2", limits=limits)
    allocation = agent.run(job(agent.name("unlimited"), task(config), kind="batch"))
    ended = allocation.wait("dead")
    assert "cannot enforce as written: wallclock:sigterm (not at all)" in ended.messages


def test_other_spellings_are_noted(agent: Agent) -> None:
    """The Go driver's misspelt keys work, and the task's events say what to write."""
    body = f'Path = "{agent.root}"\nAllow_read_msgbug = true\nExec_start = "true"'
    allocation = agent.run(job(agent.name("alias"), task(body), kind="batch"))
    ended = allocation.wait("dead")
    terminated = ended.event("Terminated")
    assert terminated is not None, ended.messages
    assert terminated["ExitCode"] == 0
    assert "Allow_read_msgbug is another spelling of Allow_read_msgbuf: write that" in ended.messages


def test_values_reach_the_jail(agent: Agent) -> None:
    """What HCL quotes arrives as it was meant, through the agent, the plugin and jail(8)."""
    value = "a \"b\" 'c' $HOME `id` {x} = ; #"
    quoted = json.dumps(value)
    body = f'Path = "{agent.root}"\nExec_start = "sleep 60"\nMeta = {quoted}\nHost_hostname = {quoted}'
    allocation = agent.run(job(agent.name("values"), task(body)))
    allocation.wait("running")
    [history] = agent.histories(allocation.id)
    seen = json.loads(agent.tool("jls", "--libxo", "json", "-j", history.jail, "meta", "host.hostname"))
    [jail] = seen["jail-information"]["jail"]
    assert (jail["meta"], jail["host.hostname"]) == (value, value)
    allocation.stop()
