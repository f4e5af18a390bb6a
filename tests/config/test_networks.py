"""Addresses and interfaces of a job."""

from __future__ import annotations

from typing import Any

import pytest

from jail_driver.config.kinds import Problems
from jail_driver.config.model import AddressWanted
from jail_driver.config.networks import read_addresses, read_gateways, read_hosts, read_interfaces

W = AddressWanted


@pytest.mark.parametrize(
    ("value", "version", "nic", "wanted"),
    [
        ("em1|192.168.1.102", 4, None, (W("192.168.1.102", "em1"),)),
        ("em1|192.168.1.102/24", 4, None, (W("192.168.1.102", "em1", 24),)),
        ("em1|192.168.1.102/255.255.255.0", 4, None, (W("192.168.1.102", "em1", 24),)),
        ("10.0.0.1, em0|10.0.0.2/8", 4, "re0", (W("10.0.0.1", "re0"), W("10.0.0.2", "em0", 8))),
        (["10.0.0.1", "10.0.0.2,10.0.0.3"], 4, None, (W("10.0.0.1"), W("10.0.0.2"), W("10.0.0.3"))),
        ("10.0.0.1,10.0.0.1", 4, None, (W("10.0.0.1"),)),
        ("em1|2001:DB8:0::1/64", 6, None, (W("2001:db8::1", "em1", 64),)),
        ("", 4, None, ()),
        ([], 4, None, ()),
    ],
)
def test_forms(value: Any, version: int, nic: str | None, wanted: tuple[AddressWanted, ...]) -> None:
    """Text with commas and lists give the same; addresses become canonical, in the job's order."""
    problems = Problems()
    assert read_addresses("Ip", value, version, nic, problems) == wanted
    assert problems.found == []


@pytest.mark.parametrize(
    ("value", "version", "says"),
    [
        ("192.168.1.300", 4, "no IPv4 address"),
        ("em1|", 4, "no IPv4 address"),
        ("2001:db8::1", 4, "use Ip6_addr"),
        ("10.0.0.1", 6, "use Ip4_addr"),
        ("10.0.0.1/33", 4, "'33' is no prefix length"),
        ("10.0.0.1/", 4, "'' is no prefix length"),
        ("10.0.0.1/255.0.255.0", 4, "no prefix length"),
        ("10.0.0.1/-1", 4, "no prefix length"),
        ("10.0.0.1/255.255.255.999", 4, "no prefix length"),
        ("em1|10.0.0.1/24 vhid 3", 4, "ifconfig(8) words"),
        ("-a|10.0.0.1", 4, "no interface name"),
        ("em1 up|10.0.0.1", 4, "no interface name"),
        ("|10.0.0.1", 4, "no interface name"),
        ("em0|10.0.0.1,em1|10.0.0.1", 4, "twice"),
        (17, 4, "no IPv4 address"),
        ({"a": 1}, 4, "not text"),
        (["10.0.0.1", None], 4, "not text"),
        ("fe80::1%em0/64", 6, "em0|…"),
        ("em1|0.0.0.0", 4, 'Ip4 = "inherit" for all'),
        ("255.255.255.255/8", 4, "of a single host"),
        ("em1|::/0", 6, 'Ip6 = "inherit" for all'),
    ],
)
def test_refusals(value: Any, version: int, says: str) -> None:
    """What ifconfig(8) would misread or refuse is named before anything happens."""
    problems = Problems()
    read_addresses("Ip", value, version, None, problems)
    assert any(says in sentence for sentence in problems.found), problems.found


@pytest.mark.parametrize(
    ("value", "names"),
    [("e0b_loghost", ("e0b_loghost",)), ("a0,b0", ("a0", "b0")), (["a0", "b0", "a0"], ("a0", "b0"))],
)
def test_interfaces(value: Any, names: tuple[str, ...]) -> None:
    """One name, several with commas as jail(8) takes them, or a list."""
    problems = Problems()
    assert read_interfaces("Vnet_nic", value, problems) == names
    assert problems.found == []


@pytest.mark.parametrize("value", ["-vnet", "a b", "x" * 16, "a/b", "a;b", "é0"])
def test_bad_interfaces(value: str) -> None:
    """A name that could be an option, or that no interface can have, is refused."""
    problems = Problems()
    assert read_interfaces("Vnet_nic", [value, "ok0"], problems) == ("ok0",)
    assert len(problems.found) == 1


def test_gateways() -> None:
    """One a family, as text with commas or as a list."""
    problems = Problems()
    assert read_gateways("Gateway", "10.0.0.1, 2001:DB8::1", problems) == ("10.0.0.1", "2001:db8::1")
    assert read_gateways("Gateway", ["10.0.0.1", "10.0.0.1"], problems) == ("10.0.0.1",)
    assert problems.found == []


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("10.0.0.1,10.0.0.2", "second IPv4 gateway"),
        ("em1", "no address"),
        ("fe80::1%em0", "has a zone"),
        ("-host", "no address"),
    ],
)
def test_bad_gateways(value: str, says: str) -> None:
    """What route(8) would misread is named."""
    problems = Problems()
    read_gateways("Gateway", value, problems)
    assert any(says in sentence for sentence in problems.found), problems.found


def test_hosts() -> None:
    """Lines of hosts(5), blanks made single."""
    problems = Problems()
    assert read_hosts("Hosts", ["10.0.0.5\tdb  db.local"], problems) == ("10.0.0.5 db db.local",)
    assert problems.found == []


@pytest.mark.parametrize("line", ["", "db 10.0.0.5", "10.0.0.5", "10.0.0.5 a#b", "10.0.0.5 x\n10.0.0.6 y z;"])
def test_bad_hosts(line: str) -> None:
    """A line that would mean something else, or nothing, is refused."""
    problems = Problems()
    assert read_hosts("Hosts", line, problems) == ()
    assert len(problems.found) == 1
