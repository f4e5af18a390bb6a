"""The plugin's own options."""

from __future__ import annotations

from typing import Any

import pytest

from jail_driver.config.options import OPTIONS, PluginOptions, default_state_dir, parse_plugin_options
from jail_driver.config.policy import OPEN, STRICT
from jail_driver.config.read import duration_s
from jail_driver.config.schema import plugin_schema
from jail_driver.errors import ConfigError
from jail_driver.hclspec import Attr, Default, Literal


def test_defaults() -> None:
    """Without a config block everything has its default, and the policy is open."""
    assert parse_plugin_options({}) == PluginOptions(state_dir="/var/db/jail-task-driver")
    assert parse_plugin_options(dict.fromkeys(option.name for option in OPTIONS)).policy == OPEN


def test_schema_defaults_are_the_real_ones() -> None:
    """What the schema tells Nomad is what the plugin uses without it."""
    block: dict[str, Any] = {}
    for name, spec in plugin_schema().attributes.items():
        if isinstance(spec, Default):
            assert isinstance(spec.default, Literal)
            text = spec.default.value
            block[name] = (
                [word.strip(' "') for word in text.strip("[]").split(",")]
                if text[0] == "["
                else text.strip('"')
            )
    assert parse_plugin_options(block) == parse_plugin_options({})
    assert plugin_schema().attributes["state_dir"] == Attr("state_dir", "string")


def test_default_state_directory() -> None:
    """Without root the state lies where the XDG base directories say."""
    assert default_state_dir(root=True, env={}) == "/var/db/jail-task-driver"
    assert default_state_dir(root=False, env={"XDG_STATE_HOME": "/x"}) == "/x/jail-task-driver"
    assert (
        default_state_dir(root=False, env={"HOME": "/h", "XDG_STATE_HOME": "rel"})
        == "/h/.local/state/jail-task-driver"
    )


def test_values() -> None:
    """Each option arrives in its field with its unit."""
    options = parse_plugin_options(
        {
            "state_dir": "/var/x/",
            "jail_tools": "/opt/tools",
            "kill_signal": "int",
            "kill_timeout": "1m",
            "teardown_deadline": 90,
            "hook_timeout": "0s",
            "retain": "1h30m",
            "recovery_wait": "500ms",
            "resource_limits": [],
        }
    )
    assert options == PluginOptions(
        state_dir="/var/x",
        jail_tools="/opt/tools",
        kill_signal="SIGINT",
        kill_timeout_s=60.0,
        teardown_deadline_s=90.0,
        hook_timeout_s=0.0,
        retain_s=5400.0,
        recovery_wait_s=0.5,
        resource_limits=frozenset(),
    )


def test_policy() -> None:
    """Strict is one line; options extend it, take jobs' spelling, and a star opens one field."""
    assert parse_plugin_options({"policy": "strict"}).policy == STRICT
    allowed = parse_plugin_options(
        {
            "policy": "strict",
            "allow_hooks": ["Exec_prestart"],
            "allow_parameters": ["Allow_mlock", "allow.mount.*"],
            "allow_paths": ["*"],
        }
    ).policy
    assert (allowed.hooks, allowed.parameters, allowed.paths) == (
        ("exec.prestart",),
        ("allow.mlock", "allow.mount.*"),
        None,
    )
    assert allowed.interfaces == ()
    assert parse_plugin_options({"allow_hooks": []}).policy.hooks == ()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("state_dir", "rel", "absolute path"),
        ("state_dir", "/", "absolute path"),
        ("state_dir", "/a/../b", "absolute path"),
        ("state_dir", "/" + "x" * 76, "at most 76"),
        ("jail_tools", "tools", "auto, freebsd, linux"),
        ("kill_signal", "SIGKIL", "no signal"),
        ("kill_timeout", "5 minutes", "not a duration"),
        ("kill_timeout", -1, "not a duration"),
        ("retain", "999999h", "not a duration"),
        ("resource_limits", ["disk"], "memory, cpu, cores"),
        ("policy", "closed", "open or strict"),
        ("allow_hooks", ["exec.prestrat"], "no hook"),
        ("allow_paths", ["jails"], "no absolute path"),
        ("allow_addresses", ["10.0.0.1/33"], "no network"),
        ("allow_devices", [3.5], "no absolute path"),
        ("nosuch", 1, "no option"),
    ],
)
def test_refusals(name: str, value: Any, says: str) -> None:
    """Each wrong option is named with its value and what to write."""
    with pytest.raises(ConfigError) as caught:
        parse_plugin_options({name: value})
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"{name} = ")
    assert says in caught.value.problems[0]


def test_all_problems_at_once() -> None:
    """One answer names them all."""
    with pytest.raises(ConfigError) as caught:
        parse_plugin_options({"policy": 1, "kill_timeout": "x", "jail_tools": 5, "allow_hooks": "a"})
    assert len(caught.value.problems) == 4


def test_longest_state_directory_still_holds_a_socket() -> None:
    """A supervisor's socket below the longest state directory fits any system's sun_path."""
    longest = "/" + "x" * 75
    assert len(f"{parse_plugin_options({'state_dir': longest}).state_dir}/s/0123456789abcdef.sock") <= 100


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("1.5s", 1.5), ("2h3m4s5ms", 7384.005), (7, 7.0), ("", None), ("s", None), ("1s x", None), ("1d", None), (True, None), (None, None), (1e300, None)],
)  # fmt: skip
def test_durations(text: Any, seconds: float | None) -> None:
    """Durations are seconds or Go's notation."""
    assert duration_s(text) == (seconds if seconds is None else pytest.approx(seconds))
