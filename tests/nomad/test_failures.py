"""A start that fails is one readable sentence for the operator, and leaves nothing but its history."""

from __future__ import annotations

import json

import pytest

from nomad.agent import Agent
from nomad.jobs import job, task

CASES = {
    "no such Path": (
        'Path = "/no/such/root"\nExec_start = "true"',
        ["/no/such/root", "no such directory"],
        "pending stopped",
    ),
    "a hook exits 3": (
        'Path = "{root}"\nExec_prestart = "echo the reason; exit 3"\nExec_start = "true"',
        ["exec.prestart[0] failed with status 3", "the reason"],
        "pending prestart prestop stopped",
    ),
    "a later hook exits 3": (
        'Path = "{root}"\nIp4_addr = "em1|192.168.1.77"\nExec_poststart = ["true", "exit 3;"]\nExec_start = "sleep 100"',
        ["exec.poststart[1] failed with status 3"],
        "pending prestart running prestop stopped",
    ),
    "the program is missing": (
        'Path = "{root}"\nExec_start = "/no/such/program -x"',
        ["/no/such/program"],
        "pending prestart prestop stopped",
    ),
    "an interface is missing": (
        'Path = "{root}"\nIp4_addr = "em7|192.168.1.77"\nExec_start = "true"',
        ["this host has no interface em7; it has", "em1", 'Ip4_addr = "em7|192.168.1.77"'],
        "pending stopped",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_sentence_and_a_clean_host(agent: Agent, case: str) -> None:
    """``nomad alloc status`` says what and why; no jail, mount, address, rule, process or file is left."""
    config, words, states = CASES[case]
    rules = 'Rctl = {{ Maxproc = {{ Action = "deny", Amount = "50" }} }}'
    before = agent.snapshot()
    allocation = agent.run(
        job(agent.name("fails"), task(f"{config}\n{rules}".format(root=agent.root)), kind="batch")
    )
    ended = allocation.wait("dead")
    assert ended.failed
    failure = ended.event("Driver Failure")
    assert failure is not None, ended.messages
    sentence = failure["DisplayMessage"]
    assert all(word in sentence for word in words), sentence
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    shown = " ".join(allocation.status().split())
    assert all(word in shown for word in words[:1]), shown
    agent.wait_clean(before)
    [told] = agent.histories(allocation.id)
    assert told.states == tuple(states.split())
    assert any(words[0] in json.dumps(event["data"]) for event in told.events)
