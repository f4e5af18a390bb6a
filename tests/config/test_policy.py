"""The operator's policy: open by default, strict in one line, every refusal names the option."""

from __future__ import annotations

from typing import Any

import pytest

from jail_driver.config import policy
from jail_driver.config.keys import KEYS
from jail_driver.config.kinds import Fate, Kind
from jail_driver.config.policy import OPEN, STRICT, Policy
from jail_driver.config.task import parse_task_config
from jail_driver.errors import ConfigError


def refused(allowed: Policy, **keys: Any) -> list[str]:
    """Returns what a policy says about a config."""
    try:
        parse_task_config({"Persist": True, **keys}, None, allowed)
    except ConfigError as error:
        return list(error.problems)
    return []


HOOKS = [key for key in KEYS if key.kind is Kind.COMMANDS and key.name != "Exec_stop"]
GUARDED = [key for key in KEYS if key.kind is Kind.FLAG and key.guarded]


@pytest.mark.parametrize("key", HOOKS, ids=lambda key: key.name)
def test_strict_allows_no_host_hook(key: Any) -> None:
    """Each host hook needs its name in allow_hooks; exec.stop runs inside and is free."""
    assert refused(OPEN, **{key.name: "logger x"}) == []
    found = refused(STRICT, **{key.name: "logger x"})
    assert len(found) == 1
    assert key.param in found[0]
    assert "allow_hooks" in found[0]
    assert refused(Policy(hooks=(key.param,)), **{key.name: "logger x"}) == []
    assert refused(STRICT, Exec_stop="sh /etc/rc.shutdown") == []


@pytest.mark.parametrize("key", GUARDED, ids=lambda key: key.name)
def test_strict_allows_no_guarded_permission(key: Any) -> None:
    """A guarded permission needs allow_parameters; turning it off never does."""
    assert refused(OPEN, **{key.name: True}) == []
    found = refused(STRICT, **{key.name: True})
    assert len(found) == 1
    assert f"parameter {key.param}" in found[0]
    assert "allow_parameters" in found[0]
    assert refused(STRICT, **{key.name: False}) == []
    assert refused(Policy(parameters=("allow.*",)), **{key.name: True}) == []


def test_every_working_permission_is_decided() -> None:
    """A permission is either on by default or guarded: none slips through a strict policy."""
    for key in KEYS:
        if key.param.startswith("allow.") and key.kind is Kind.FLAG and key.fate is Fate.WORKS:
            assert key.default_on != key.guarded, key.name


@pytest.mark.parametrize(
    ("keys", "allowed", "option"),
    [
        ({"Path": "/jails/web"}, {"paths": ("/jails",)}, "allow_paths"),
        ({"Exec_consolelog": "/var/tmp/x"}, {"paths": ("/var/tmp/",)}, "allow_paths"),
        ({"Ip4_addr": "em1|10.0.0.1"}, {"interfaces": ("em*",), "addresses": ("10.0.0.0/8",)}, "allow_"),
        ({"Ip6_addr": "2001:db8::1"}, {"addresses": ("2001:db8::/32", "10.0.0.0/8")}, "allow_addresses"),
        ({"Vnet": True, "Vnet_nic": "e0b_a"}, {"interfaces": ("e0b_*",)}, "allow_interfaces"),
        ({"Sysvshm": "inherit"}, {"parameters": ("sysvshm",)}, "allow_parameters"),
        ({"Ip4": "inherit"}, {"parameters": ("ip4",)}, "allow_parameters"),
        ({"Enforce_statfs": 1}, {"parameters": ("enforce_statfs",)}, "allow_parameters"),
        ({"Devfs_ruleset": 5}, {"parameters": ("devfs_ruleset",)}, "allow_parameters"),
        ({"Jid": 7}, {"parameters": ("jid",)}, "allow_parameters"),
        ({"Params": {"new.thing": "1"}}, {"parameters": ("new.*",)}, "allow_parameters"),
        ({"Mount": "/data /mnt nullfs"}, {"paths": ("/data",), "parameters": ("mount",)}, "allow_"),
        ({"Mount_fstab": "/jails/x"}, {"paths": ("/jails",), "parameters": ("mount",)}, "allow_"),
    ],
)
def test_strict_needs_each_permission(keys: dict[str, Any], allowed: dict[str, Any], option: str) -> None:
    """What reaches beyond the jail is refused under strict, allowed by its option, and free under open."""
    found = refused(STRICT, **keys)
    assert found
    assert all(option in sentence for sentence in found)
    strict = {name: getattr(STRICT, name) for name in policy.FIELDS}
    assert refused(Policy(**{**strict, **allowed}), **keys) == []
    assert refused(OPEN, **keys) == []


@pytest.mark.parametrize(
    "keys",
    [
        {"Exec_start": "/bin/server"},
        {
            "Enforce_statfs": 2,
            "Devfs_ruleset": 4,
            "Mount_devfs": True,
            "Host_hostname": "a",
            "Sysvshm": "new",
        },
        {"Vnet": True},
        {"Rctl": {"Maxproc": {"Action": "deny", "Amount": 5}}},
        {"Exec_jail_user": "www", "Children_max": 0, "Securelevel": 3},
    ],
)
def test_strict_leaves_a_plain_task_alone(keys: dict[str, Any]) -> None:
    """A task that stays inside its jail runs under strict."""
    assert refused(STRICT, **keys) == []


@pytest.mark.parametrize(
    ("hook", "free"),
    [
        ("/opt/hooks/up web", True),
        ("/usr/local/bin/jib addm web em1", True),
        ("/usr/local/bin/jib2 addm", False),
        ("/opt/hooks/../../bin/sh -c x", False),
        ("/opt/hooks/up web; rm -rf /", False),
        ("jib addm web", False),
    ],
)
def test_hook_programs(hook: str, free: bool) -> None:  # noqa: FBT001  # a row of the table
    """With allow_hook_programs only those programs run, and never through a shell."""
    allowed = Policy(hook_programs=("/opt/hooks/", "/usr/local/bin/jib"))
    found = refused(allowed, Exec_prestart=hook)
    assert (found == []) is free
    assert free or "allow_hook_programs" in found[0]
    assert not allowed.hooks_open
    assert refused(allowed, Exec_start=hook) == []


@pytest.mark.parametrize("path", ["/jails2/web", "/jails/../etc", "/", "/jail"])
def test_path_prefixes_are_whole_components(path: str) -> None:
    """A prefix is a directory, not a string; dots never pass."""
    assert policy.check_path("Path", path, ("/jails",))
    assert policy.check_path("Path", "/jails", ("/jails",)) == []


def test_devices_and_volumes() -> None:
    """Nomad's devices and volumes have options of their own; strict leaves volumes to Nomad's own rules."""
    assert policy.check_device("/dev/dri/card0", Policy(devices=("/dev/dri/*",))) == []
    assert "allow_devices" in policy.check_device("/dev/mem", STRICT)[0]
    assert policy.check_volume("/srv/data", STRICT) == []
    assert policy.check_volume("/srv/data", Policy(volumes=("/srv",))) == []
    assert "allow_volumes" in policy.check_volume("/etc", Policy(volumes=("/srv",)))[0]


def test_who_may_run_commands_as_root() -> None:
    """The fingerprint can say whether hooks are open."""
    assert OPEN.hooks_open
    assert not STRICT.hooks_open
    assert Policy(hooks=("exec.prestart",)).hooks_open
