"""The table of keys, row by row: each parameter of jail(8) is there and arrives as jail(8) takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jail_driver.config.keys import BY_NAME, BY_PARAM, KEYS
from jail_driver.config.kinds import Fate, Key, Kind
from jail_driver.config.schema import task_schema
from jail_driver.config.task import JailConfig, KernelFacts, MissingParameterError, parse_task_config
from jail_driver.errors import ConfigError
from jail_driver.hclspec import Attr


def listed(name: str) -> list[str]:
    """Returns the lines of a list beside this file, without its comments."""
    lines = (Path(__file__).parent / name).read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


PARAMS = {line.rstrip(".") for line in listed("params_15_1.txt")}
NODES = {"allow", "children", "cpuset", "mac"}
PSEUDO = (
    *("allow.dying", "command", "depend", "exec.clean", "exec.consolelog", "exec.created", "exec.fib"),
    *("exec.jail_user", "exec.poststart", "exec.poststop", "exec.prepare", "exec.prestart", "exec.prestop"),
    *("exec.release", "exec.start", "exec.stop", "exec.system_jail_user", "exec.system_user", "exec.timeout"),
    *("interface", "ip_hostname", "mount", "mount.devfs", "mount.fdescfs", "mount.fstab", "mount.procfs"),
    *("stop.timeout", "vnet.interface", "zfs.dataset"),
)
ORIGINAL = listed("original_keys.txt")


def parse(kernel: KernelFacts | None = None, **keys: Any) -> JailConfig:
    """Reads a config that lives without a command."""
    return parse_task_config({"Persist": True, **keys}, kernel)


def of(kind: Kind) -> list[Key]:
    """Returns the working rows of one kind."""
    return [key for key in KEYS if key.kind is kind and key.fate is Fate.WORKS]


def test_every_kernel_parameter_has_a_row() -> None:
    """No parameter of a 15.1 kernel is missing from the table."""
    assert PARAMS - NODES - set(BY_PARAM) == set()


def test_every_pseudo_parameter_has_a_row() -> None:
    """No parameter of jail(8) itself is missing from the table."""
    assert set(PSEUDO) - set(BY_PARAM) == set()


def test_every_key_of_the_original_has_a_row() -> None:
    """A job written for the Go original never meets an unknown key."""
    assert set(ORIGINAL) - set(BY_NAME) == set()


def test_names_are_unique_and_follow_the_rule() -> None:
    """A key is its parameter with a capital letter and underscores, but for the original's two own names."""
    assert len(BY_NAME) == len(KEYS)
    own = {"Nic", "Vnet_nic"}
    for key in KEYS:
        assert not key.param or key.name in own or key.param.replace(".", "_").capitalize() == key.name


def test_schema_has_every_key() -> None:
    """Nomad is told about each row, and leaves all types to us."""
    assert dict(task_schema().attributes) == {key.name: Attr(key.name, "any") for key in KEYS}


@pytest.mark.parametrize("key", of(Kind.FLAG), ids=lambda key: key.name)
def test_flags_are_turned_on_and_off(key: Key) -> None:
    """True is the bare word, false the word with "no" before its last part; text and numbers will do."""
    head, dot, last = key.param.rpartition(".")
    off = f"{head}{dot}no{last}"
    for value in (True, "true", 1, "1"):
        assert parse(**{key.name: value}).params == {key.param: None}
    for value in (False, "false", 0, "0"):
        assert parse(**{key.name: value}).params == {off: None}
    with pytest.raises(ConfigError, match=f'{key.name} = "maybe": is neither'):
        parse(**{key.name: "maybe"})


@pytest.mark.parametrize("key", of(Kind.INT), ids=lambda key: key.name)
def test_numbers_keep_their_bounds(key: Key) -> None:
    """Each bound is accepted as number and text, one beyond is refused; one digit survives."""
    for value in (key.low, key.high):
        for form in (value, str(value)):
            assert parse(**{key.name: form}).params == {key.param: str(value)}
    for value in (key.low - 1, key.high + 1, "x", "", 1.5, True, [1], {}):
        with pytest.raises(ConfigError, match=rf"^{key.name} = "):
            parse(**{key.name: value})


@pytest.mark.parametrize("key", of(Kind.TEXT), ids=lambda key: key.name)
def test_texts_arrive_unchanged(key: Key) -> None:
    """One character survives, so does the longest text; one byte more, a NUL or nothing is refused."""
    head = "5.15.0-" if key.name == "Linux_osrelease" else ""
    for tail in ("4", "é" * ((key.max_bytes - len(head)) // 2), 'a"b;c $d {e} = , \n'):
        text = head + tail
        assert parse(**{key.name: text}).params == {key.param: text}
    for value in ("x" * (key.max_bytes + 1), "a\0b", "", True, ["a"]):
        with pytest.raises(ConfigError, match=rf"^{key.name} = "):
            parse(**{key.name: value})


@pytest.mark.parametrize("key", of(Kind.CHOICE), ids=lambda key: key.name)
def test_choices(key: Key) -> None:
    """Each of the kernel's words is sent, everything else is refused with the list."""
    for choice in key.choices:
        assert parse(**{key.name: choice}).params == {key.param: choice}
    for value in ("sometimes", "New", True, 1):
        with pytest.raises(ConfigError, match=rf"^{key.name} = .*inherit, new"):
            parse(**{key.name: value})


@pytest.mark.parametrize("key", of(Kind.PAIRS), ids=lambda key: key.name)
def test_pairs(key: Key) -> None:
    """Text goes as it is, a map as lines; a line cannot add a second pair."""
    assert parse(**{key.name: "a=1\nb"}).params == {key.param: "a=1\nb"}
    assert parse(**{key.name: {"a": 1, "b": "x=y"}}).params == {key.param: "a=1\nb=x=y"}
    assert parse(**{key.name: [{"a": ""}]}).params == {key.param: "a="}
    for value in (
        {"a": "1\nb=2"},
        {"a\nb": "1"},
        {"a=b": "1"},
        "x" * 4096,
        {"a": []},
        3.5 * 10**400 if False else [],
    ):
        with pytest.raises(ConfigError, match=rf"^{key.name}"):
            parse(**{key.name: value})


@pytest.mark.parametrize("key", of(Kind.COMMANDS), ids=lambda key: key.name)
def test_hooks(key: Key) -> None:
    """A hook is one command or a list of them; empty ones are skipped as in jail(8)."""
    hooks = parse(**{key.name: "logger a"}).hooks
    assert [command.argv for command in hooks[key.param]] == [("logger", "a")]
    hooks = parse(**{key.name: ["a $X", " ", "b"]}).hooks
    assert [command.argv for command in hooks[key.param]] == [("/bin/sh", "-c", "a $X"), ("b",)]
    assert parse(**{key.name: ""}).hooks == {}
    for value in ([None], [["a"]], {"a": "b"}, True, "a\0b", "x" * 70_000):
        with pytest.raises(ConfigError, match=rf"^{key.name}"):
            parse(**{key.name: value})


@pytest.mark.parametrize("key", [key for key in KEYS if key.fate is Fate.REFUSED], ids=lambda key: key.name)
def test_refused_keys_say_what_to_do(key: Key) -> None:
    """A key that cannot work is refused by name, with what to do instead."""
    with pytest.raises(ConfigError) as caught:
        parse(**{key.name: "x"})
    assert caught.value.problems == (f'{key.name} = "x": cannot be set; {key.instead}',)


@pytest.mark.parametrize("key", [key for key in KEYS if key.fate is Fate.ALIAS], ids=lambda key: key.name)
def test_other_spellings(key: Key) -> None:
    """Another spelling works, with a notice; both spellings at once are refused."""
    samples = {"Ip4_addr": "10.0.0.1", "Nic": "em1", "Vnet_nic": "e0b_a"}
    value = samples.get(key.instead, True)
    keys = {"Vnet": True} if key.instead == "Vnet_nic" else {}
    old, new = parse(**{key.name: value}, **keys), parse(**{key.instead: value}, **keys)
    assert old.notices[0] == f"{key.name} is another spelling of {key.instead}: write that"
    assert old.notices[1:] == new.notices
    assert (old.params, old.ip4_addrs, old.nic, old.vnet_interfaces) == (
        new.params,
        new.ip4_addrs,
        new.nic,
        new.vnet_interfaces,
    )
    with pytest.raises(ConfigError, match="keep one of them"):
        parse(**{key.name: value, key.instead: value}, **keys)


@pytest.mark.parametrize("key", [key for key in KEYS if key.fate is Fate.IDLE], ids=lambda key: key.name)
def test_keys_without_effect(key: Key) -> None:
    """A key that changes nothing here is accepted, and its value checked all the same."""
    assert parse(**{key.name: True}) == parse(**{key.name: False}) == parse()
    with pytest.raises(ConfigError, match=f"^{key.name} = "):
        parse(**{key.name: "perhaps"})


def test_parameters_that_this_kernel_has(kernel: KernelFacts) -> None:
    """On a 15.1 kernel every parameter that it lists is accepted."""
    for key in KEYS:
        if key.param in kernel.parameters and key.kind is Kind.FLAG:
            assert parse(kernel, **{key.name: True}).params == {key.param: None}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("Allow_mount_zfs", True, r"this kernel \(15.1-STABLE\) has no jail parameter allow.mount.zfs; load its module on the host: kldload zfs"),
        ("Allow_vmm", True, "kldload vmm"),
        ("Mac_do", "new", "kldload mac_do"),
        ("Mac_label", "a/b", "FreeBSD after 15.1 brings it"),
    ],
)  # fmt: skip
def test_parameters_that_this_kernel_lacks(kernel: KernelFacts, name: str, value: Any, says: str) -> None:
    """A missing parameter is refused with the module or the release that brings it, as worth another look."""
    with pytest.raises(MissingParameterError, match=says) as caught:
        parse(kernel, **{name: value})
    assert caught.value.missing == {BY_NAME[name].param}


def test_turning_off_what_the_kernel_lacks(kernel: KernelFacts) -> None:
    """A kernel without the parameter already does what is asked, unless the default is on."""
    assert parse(kernel, Allow_vmm=False).params == {}
    old = KernelFacts(kernel.parameters - {"allow.suser"}, "12.4-RELEASE")
    assert parse(old, Allow_suser=True).params == {}
    with pytest.raises(MissingParameterError, match=r"FreeBSD 13\.0"):
        parse(old, Allow_suser=False)


def test_a_kernel_built_without_it(kernel: KernelFacts) -> None:
    """What no module brings needs another kernel: vnet without VIMAGE, a parameter that was left out."""
    bare = KernelFacts(kernel.parameters - {"vnet", "host.hostuuid"})
    with pytest.raises(MissingParameterError, match="without VIMAGE") as caught:
        parse(bare, Vnet=True, Host_hostuuid="a")
    assert caught.value.missing == {"vnet", "host.hostuuid"}
    assert "a kernel that is built with it" in str(caught.value)
    assert parse(bare, Vnet=False).params == {}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
@pytest.mark.parametrize(
    "value", [{"a": [1]}, [[1], {}], [{"x": [1]}], "\0"], ids=["map", "list", "maps", "NUL"]
)
def test_a_value_of_the_wrong_type_is_named(key: Key, value: Any) -> None:
    """Each key answers what it cannot read with a sentence that begins with its name, or with its right name."""
    with pytest.raises(ConfigError) as refused:
        parse_task_config({"Persist": True, key.name: value})
    names = {key.name, key.instead} if key.fate is Fate.ALIAS else {key.name}
    assert any(problem.startswith(tuple(names)) for problem in refused.value.problems)
