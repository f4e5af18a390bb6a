"""Params passes on what the table does not know, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from jail_driver.config.keys import BY_PARAM
from jail_driver.config.kinds import Problems
from jail_driver.config.params import negative, positive, read_extra
from jail_driver.config.task import KernelFacts, MissingParameterError, parse_task_config

NEW = KernelFacts(frozenset({"allow.newthing", "new.num", "new.txt", "node"}), "17.0-RELEASE")


def extra(value: Any, kernel: KernelFacts | None = NEW) -> tuple[dict[str, str | None], list[str]]:
    """Returns the arguments and the problems of one Params value."""
    problems = Problems()
    return read_extra(value, kernel, problems), problems.found


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        ({"allow.newthing": True}, {"allow.newthing": None}),
        ({"allow.newthing": False}, {"allow.nonewthing": None}),
        ({"allow.nonewthing": True}, {"allow.nonewthing": None}),
        ({"allow.nonewthing": False}, {"allow.newthing": None}),
        ({"new.num": 4, "new.txt": "a=b; $x\n"}, {"new.num": "4", "new.txt": "a=b; $x\n"}),
        ([{"new.txt": ""}], {"new.txt": ""}),
        ({"node": True}, {"node": None}),
    ],
)
def test_forms(value: Any, arguments: dict[str, str | None]) -> None:
    """Booleans are bare words, also in their negative form; text and numbers are values."""
    assert extra(value) == (arguments, [])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("allow.mlock", "write Allow_mlock"),
        ("allow.nomlock", "write Allow_mlock"),
        ("name", "the driver names the jail"),
        ("path", "write Path"),
        ("persist", "write Persist"),
        ("nopersist", "write Persist"),
        ("ip4.addr", "write Ip4_addr"),
        ("exec.start", "write Exec_start"),
        ("exec.somethingnew", "is no parameter of the kernel"),
        ("command", "write Command"),
        ("mount", "write Mount"),
        ("mount.newfs", "is no parameter of the kernel"),
        ("meta.key", "is no parameter of the kernel"),
        ("depend", "order tasks"),
        ("allow.newthing=1 exec.start", "is no name"),
        ("-f", "is no name"),
        ("", "is no name"),
        ("new.txt\n", "is no name"),
        ("new..txt", "is no name"),
    ],
)
def test_refused_names(name: str, says: str) -> None:
    """No name can reach a hook, a mount, the jail's identity or an option of jail(8)."""
    arguments, found = extra({name: "x"})
    assert arguments == {}
    assert len(found) == 1
    assert says in found[0]


@pytest.mark.parametrize("name", sorted(BY_PARAM))
def test_every_known_parameter_has_its_own_key(name: str) -> None:
    """A parameter of the table never goes through Params, in neither form, whatever the kernel has."""
    for form in (name, negative(name)):
        assert extra({form: "x"}, KernelFacts(frozenset({name, form})))[0] == {}


def test_unknown_to_the_kernel() -> None:
    """A name that the kernel lacks is refused as worth another look."""
    with pytest.raises(
        MissingParameterError, match=r"this kernel \(17.0-RELEASE\) has no such jail parameter"
    ):
        parse_task_config({"Persist": True, "Params": {"nosuch.param": 1}}, NEW)


@pytest.mark.parametrize(
    "value", ["allow.newthing", 7, ["allow.newthing"], [{"new.txt": ["a"]}], {"new.txt": "a\0b"}]
)
def test_bad_values(value: Any) -> None:
    """Params is a map of plain values."""
    arguments, found = extra(value)
    assert arguments == {}
    assert len(found) == 1


@pytest.mark.parametrize("name", ["allow.mount.zfs", "persist", "ip4.saddrsel"])
def test_negative_form(name: str) -> None:
    """The negative form puts "no" before the last part, and can be undone."""
    assert negative(name) in {"allow.mount.nozfs", "nopersist", "ip4.nosaddrsel"}
    assert positive(negative(name)) == name
