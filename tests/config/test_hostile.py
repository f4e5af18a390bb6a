"""Hostile values: whatever arrives, the answer is a configuration or one readable error, and nothing leaks out."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jail_driver.config.keys import KEYS
from jail_driver.config.kinds import Kind
from jail_driver.config.options import OPTIONS, parse_plugin_options
from jail_driver.config.policy import STRICT
from jail_driver.config.rules import ACTIONS, PERS, RESOURCES
from jail_driver.config.task import JailConfig, KernelFacts, parse_task_config
from jail_driver.errors import ConfigError

NASTY = st.sampled_from(
    ["", " ", "\0", "a\0b", "'", '"', "$HOME", "${x}", "; rm -rf /", "a=b", "a,b", "{}", "\n", "é\u2028", "\ud800",
     "-o", "..", "/", "/../etc", "%s", "1e9999", "9" * 500, "x" * 5000, "em0|10.0.0.1/24", "sigkill", "nan", "٣", "²"]
)  # fmt: skip
TEXT = st.one_of(NASTY, st.text(max_size=20))
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.binary(max_size=4))
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(TEXT, st.integers()), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = [key.name for key in KEYS]
LIMIT = st.dictionaries(
    st.sampled_from(["Action", "Amount", "Per", "x"]),
    st.one_of(VALUE, st.sampled_from([*ACTIONS, *PERS, "5M", 7])),
)
RCTL = st.dictionaries(
    st.sampled_from([*RESOURCES, "Maxproc", "nosuch"]), st.one_of(VALUE, LIMIT, st.lists(LIMIT, max_size=2))
)
CONFIG = st.dictionaries(st.sampled_from(NAMES), VALUE, max_size=8)


def readable(error: ConfigError) -> None:
    """Asserts that an error can be shown: some sentences, each on one line, none of them endless."""
    assert error.problems
    for sentence in error.problems:
        assert sentence.isprintable()
        assert len(sentence) < 1500


def one_answer(config: dict[str, Any], kernel: KernelFacts | None = None) -> JailConfig | None:
    """Parses; returns None for a readable refusal, and lets everything else through."""
    try:
        return parse_task_config(config, kernel)
    except ConfigError as error:
        readable(error)
        return None


@settings(deadline=None, max_examples=200)
@given(CONFIG)
def test_any_value_of_any_key(kernel: KernelFacts, config: dict[str, Any]) -> None:
    """Arbitrary values under the table's keys give a configuration or a readable error, nothing else."""
    one_answer(config)
    one_answer({"Persist": True, **config}, kernel)


@settings(deadline=None)
@given(RCTL)
def test_any_limits(rctl: dict[str, Any]) -> None:
    """Arbitrary limits under real resource names give rules or a readable error."""
    one_answer({"Persist": True, "Rctl": rctl})


@settings(deadline=None)
@given(st.dictionaries(TEXT, VALUE, max_size=5))
def test_any_map(config: dict[str, Any]) -> None:
    """So do arbitrary keys."""
    assert one_answer(config) is None or "Persist" in config or "Exec_start" in config or "Command" in config


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([option.name for option in OPTIONS]), VALUE, max_size=6))
def test_any_plugin_option(config: dict[str, Any]) -> None:
    """Arbitrary plugin options give options or a readable error."""
    try:
        options = parse_plugin_options(config)
    except ConfigError as error:
        readable(error)
    else:
        assert options.state_dir.startswith("/")


CLEAN = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)
TEXT_KEYS = [key for key in KEYS if key.kind is Kind.TEXT and key.max_bytes >= 240]


@given(st.sampled_from(TEXT_KEYS), CLEAN)
def test_text_reaches_the_kernel_unchanged(key: Any, text: str) -> None:
    """Text without NUL is the value of exactly one parameter, byte for byte: it cannot add another."""
    config = parse_task_config({"Persist": True, key.name: text})
    assert dict(config.params) == {key.param: text}


@given(st.lists(CLEAN, min_size=1, max_size=4))
def test_hook_text_is_one_command(texts: list[str]) -> None:
    """A hook's text is one command: its words, or one argument of the shell; the text is kept verbatim."""
    hooks = parse_task_config({"Persist": True, "Exec_prestart": texts}).hooks
    for command in hooks.get("exec.prestart", ()):
        assert command.text in texts
        assert command.argv == ("/bin/sh", "-c", command.text) or command.argv == tuple(
            word for word in command.text.translate(str.maketrans("\t\f\v\r\n", "     ")).split(" ") if word
        )


@settings(deadline=None)
@given(CONFIG)
def test_nothing_passes_a_strict_policy(config: dict[str, Any]) -> None:
    """Whatever passes under strict runs nothing on the host and names no path, interface or address of it."""
    try:
        allowed = parse_task_config({"Persist": True, **config}, None, STRICT)
    except ConfigError:
        return
    assert set(allowed.hooks) <= {"exec.stop"}
    assert (allowed.path, allowed.consolelog, allowed.mounts, allowed.mount_fstab) == (None, None, (), None)
    assert (allowed.ip4_addrs, allowed.ip6_addrs, allowed.vnet_interfaces, allowed.zfs_datasets) == (
        (),
        (),
        (),
        (),
    )
    assert "inherit" not in {value for name, value in allowed.params.items() if name != "vnet"}
