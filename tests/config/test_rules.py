"""The Rctl key against what rctl(8) of FreeBSD 15.1 answered to every resource, action and per."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jail_driver.config.kinds import Problems
from jail_driver.config.model import RctlRule
from jail_driver.config.rules import ACTIONS, PERS, RESOURCES, read_rctl

HERE = Path(__file__).parent


def recorded(name: str) -> list[str]:
    """Returns the lines of a recording without its comments."""
    return [line for line in (HERE / name).read_text().splitlines() if not line.startswith("#")]


def read(value: Any) -> tuple[tuple[RctlRule, ...], list[str]]:
    """Returns the rules and the problems of one Rctl value."""
    problems = Problems()
    return read_rctl(value, problems), problems.found


MATRIX = [line.split() for line in recorded("rctl_15_1.txt")]


@pytest.mark.parametrize(("resource", "action", "per", "status"), MATRIX)
def test_accepts_and_refuses_as_the_kernel(resource: str, action: str, per: str, status: str) -> None:
    """A limit is refused exactly where the kernel refuses it."""
    limit = {"Action": action, "Amount": "5M"} | ({"Per": per} if per != "-" else {})
    rules, found = read({resource.capitalize(): limit})
    assert (len(rules), len(found)) == ((1, 0) if status == "0" else (0, len(found) or 1))
    assert bool(found) == (status != "0")


def test_recording_covers_the_table() -> None:
    """The recording holds every resource with deny, log and throttle for each per, and every action."""
    seen = {(resource, action, per) for resource, action, per, _ in MATRIX}
    wanted = {(r, a, p) for r in RESOURCES for a in ("deny", "log", "throttle") for p in PERS}
    assert wanted <= seen
    assert set(ACTIONS) <= {action for _, action, _ in seen}


@pytest.mark.parametrize("line", recorded("rctl_amounts_15_1.txt"))
def test_amounts_as_rctl_reads_them(line: str) -> None:
    """An amount is refused exactly where rctl(8) calls it malformed or too large, and never changed."""
    amount, kept = line.split("\t")
    rules, found = read({"Memoryuse": {"Action": "deny", "Amount": amount}})
    if kept == "refused":
        assert found
    else:
        assert [rule.amount for rule in rules] == [amount]


@pytest.mark.parametrize("resource", ["cputime", "wallclock", "pcpu"])
def test_times_have_a_smaller_limit(resource: str) -> None:
    """Times and percentages are kept in millionths of a 63 bit number: what overflows is refused."""
    most = (2**63 - 1) // 1_000_000
    assert read({resource: {"Action": "log", "Amount": most}})[1] == []
    assert "too large" in read({resource: {"Action": "log", "Amount": most + 1}})[1][0]


WHOLE = RctlRule("maxproc", "deny", "20", "user")


@pytest.mark.parametrize(
    "value",
    [
        {"Maxproc": {"Action": "deny", "Amount": "20", "Per": "user"}},
        [{"Maxproc": [{"Action": "deny", "Amount": 20, "Per": "user"}]}],
        [{"Maxproc": [{"Action": "DENY", "Amount": 20, "Per": "User"}], "Openfiles": None}],
        {"maxproc": {"action": "deny", "amount": 20, "per": "user"}},
        [{"Maxproc": {"Action": "deny", "Amount": 20, "Per": "user"}}, {"Maxproc": {"Action": "deny", "Amount": 20, "Per": "user"}}],
    ],
    ids=["map", "blocks", "case", "lower", "twice"],
)  # fmt: skip
def test_all_forms_of_hcl_mean_the_same(value: Any) -> None:
    """A map, a block (a list of one map) and a repeated block give the same rule, once."""
    assert read(value) == ((WHOLE,), [])


def test_several_rules_for_one_resource() -> None:
    """A list of limits gives one rule each."""
    rules, found = read({"Maxproc": [{"Action": "deny", "Amount": 50}, {"Action": "log", "Amount": 40}]})
    assert found == []
    assert [(rule.action, rule.amount) for rule in rules] == [("deny", "50"), ("log", "40")]


def test_two_deny_amounts_clash() -> None:
    """The kernel would silently keep the last of two deny amounts, so they are refused."""
    _, found = read(
        {"Maxproc": [{"Action": "deny", "Amount": 50}, {"Action": "deny", "Amount": 40, "Per": "jail"}]}
    )
    assert len(found) == 1
    assert "two amounts" in found[0]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"Maxproc": 5}, "write it in full"),
        ({"Vmemoryuse": 1200000}, "write it in full"),
        (7, "not a block"),
        ({"Maxprok": {"Action": "deny", "Amount": 5}}, "did you mean Maxproc"),
        ({"Maxproc": {"Action": "deny"}}, "Rctl Maxproc Amount is missing"),
        ({"Maxproc": {"Amount": 5}}, "Rctl Maxproc Action is missing"),
        ({"Maxproc": {"Action": "deny", "Amount": 5, "Limit": 3}}, "Limit = 3"),
        ({"Maxproc": {"Action": "deny", "Amount": 5, "Per": "thread"}}, 'Rctl Maxproc Per = "thread"'),
        ({"Maxproc": {"Action": True, "Amount": 5}}, "Action = true"),
        ({"Readbps": {"Action": "deny", "Amount": 5}}, 'write "throttle"'),
        ({"Cputime": {"Action": "throttle", "Amount": 5}}, 'write "sigterm"'),
        ({"Nsem": {"Action": "log", "Amount": 5, "Per": "process"}}, "single processes"),
    ],
)
def test_refusals_say_what_to_write(value: Any, says: str) -> None:
    """Each refusal names the key and the value, and says what to write instead."""
    rules, found = read(value)
    assert rules == ()
    assert len(found) == 1
    assert says in found[0]


def test_text_of_a_rule() -> None:
    """A rule's text is what rctl(8) takes."""
    assert WHOLE.text("web") == "jail:web:maxproc:deny=20/user"
