"""The plugin's own options: what the operator writes into ``plugin "jail-task-driver" { config { … } }``."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jail_driver.config import read
from jail_driver.config.keys import BY_NAME
from jail_driver.config.kinds import Problems
from jail_driver.config.model import HOOKS
from jail_driver.config.policy import FIELDS, OPEN, PRESETS, Policy

SOCKET_SUFFIX_BYTES = len("/s/0123456789abcdef.sock")
MAX_SOCKET_BYTES = 100
"""Longest path of a unix socket that every system takes: sun_path has 104 bytes on FreeBSD, 108 on Linux."""

SIGNALS = (
    *("SIGHUP", "SIGINT", "SIGQUIT", "SIGABRT", "SIGKILL", "SIGALRM", "SIGTERM", "SIGUSR1", "SIGUSR2"),
    *("SIGCONT", "SIGTSTP", "SIGURG", "SIGIO", "SIGPROF", "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ"),
)
RESOURCES = ("memory", "cpu", "cores")


@dataclass(frozen=True, slots=True)
class PluginOptions:
    """The operator's choices, in seconds where the name ends in ``_s``.

    Args:
        state_dir: absolute directory of the driver's state.
        jail_tools: ``auto``, ``freebsd``, ``linux`` or an absolute directory.
        kill_signal: sent to main on every way into prestop but StopTask, as ``SIGTERM``.
        kill_timeout_s: grace after that signal.
        teardown_deadline_s: how long prestop may take after grace and hooks, before leftovers are named.
        hook_timeout_s: limit of each hook where the task sets no Exec_timeout; 0: none.
        retain_s: how long a destroyed task's history is kept.
        recovery_wait_s: how long a half-started task waits for Nomad's repeated StartTask.
        resource_limits: which of Nomad's resources become limits where the task sets none itself:
            ``memory``, ``cpu``, ``cores``.
        policy: what jobs may do.
    """

    state_dir: str
    jail_tools: str = "auto"
    kill_signal: str = "SIGTERM"
    kill_timeout_s: float = 5.0
    teardown_deadline_s: float = 300.0
    hook_timeout_s: float = 300.0
    retain_s: float = 72 * 3600.0
    recovery_wait_s: float = 30.0
    resource_limits: frozenset[str] = field(default_factory=lambda: frozenset({"memory", "cores"}))
    policy: Policy = OPEN


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its type in the schema, its default as HCL source (empty: none) and its meaning."""

    name: str
    type: str
    default: str
    doc: str


OPTIONS = (
    Option("state_dir", "string", "", "Absolute directory of the driver's database and task directories; at most 76 bytes. Default: /var/db/jail-task-driver, without root $XDG_STATE_HOME/jail-task-driver."),
    Option("jail_tools", "string", '"auto"', 'Commands to use: "auto", "freebsd" (native), "linux" (stand-ins), or an absolute directory.'),
    Option("kill_signal", "string", '"SIGTERM"', "Signal to main where Nomad gives none (a failed start, a lost jail)."),
    Option("kill_timeout", "string", '"5s"', "Grace after that signal."),
    Option("teardown_deadline", "string", '"5m"', "Longest clean-up of a task, after grace and hooks, before what is left over is named."),
    Option("hook_timeout", "string", '"5m"', 'Limit of each hook whose task sets no Exec_timeout; "0s": none.'),
    Option("retain", "string", '"72h"', "How long the history of a destroyed task is kept."),
    Option("recovery_wait", "string", '"30s"', "How long a task whose start was interrupted waits for Nomad to repeat it."),
    Option("resource_limits", "list(string)", '["memory", "cores"]', 'Which of Nomad\'s resources become limits unless the task has its own: "memory", "cpu", "cores".'),
    Option("policy", "string", '"open"', 'Starting point of the allow_ options: "open" (everything) or "strict" (nothing but volumes).'),
    Option("allow_hooks", "list(string)", "", 'Host hooks that jobs may have, as "exec.prestart".'),
    Option("allow_hook_programs", "list(string)", "", "Programs that host hooks may run, without a shell; a directory ends in /."),
    Option("allow_paths", "list(string)", "", "Directories below which Path, Mount sources and Exec_consolelog may lie."),
    Option("allow_parameters", "list(string)", "", 'Guarded parameters that jobs may set, as "allow.raw_sockets" or "allow.mount.*".'),
    Option("allow_interfaces", "list(string)", "", 'Host interfaces that jobs may name, as "em1" or "e0b_*".'),
    Option("allow_addresses", "list(string)", "", 'Networks that jobs may take addresses from, as "192.0.2.0/24".'),
    Option("allow_devices", "list(string)", "", 'Device files that tasks may get, as "/dev/dri/*".'),
    Option("allow_volumes", "list(string)", "", "Directories of the host that Nomad's volumes may come from."),
)  # fmt: skip


def parse_plugin_options(
    config: Mapping[str, Any], *, root: bool = True, env: Mapping[str, str] | None = None
) -> PluginOptions:
    """Checks the decoded plugin config block; absent options have their defaults.

    Args:
        config: as Nomad sends it.
        root: whether the plugin runs as root: decides the default state directory.
        env: the plugin's environment, for XDG_STATE_HOME and HOME.

    Raises:
        ConfigError: all problems at once.
    """
    problems = Problems()
    given = {str(name): value for name, value in config.items() if value is not None}
    for name in given.keys() - {option.name for option in OPTIONS}:
        problems.add(name, given[name], "is no option of this plugin", "see the reference of parameters")
    state_dir = given.get("state_dir", default_state_dir(root=root, env=env or {}))
    options = PluginOptions(state_dir=_state_dir(state_dir, problems))
    options = replace(
        options,
        jail_tools=_tools(given.get("jail_tools", options.jail_tools), problems),
        kill_signal=_signal(given.get("kill_signal", options.kill_signal), problems),
        kill_timeout_s=_seconds(given, "kill_timeout", options.kill_timeout_s, problems),
        teardown_deadline_s=_seconds(given, "teardown_deadline", options.teardown_deadline_s, problems),
        hook_timeout_s=_seconds(given, "hook_timeout", options.hook_timeout_s, problems),
        retain_s=_seconds(given, "retain", options.retain_s, problems),
        recovery_wait_s=_seconds(given, "recovery_wait", options.recovery_wait_s, problems),
        resource_limits=_limits(given, options.resource_limits, problems),
        policy=_policy(given, problems),
    )
    problems.raise_if_any()
    return options


def default_state_dir(*, root: bool, env: Mapping[str, str]) -> str:
    """Returns where the state lies unless the operator says otherwise (design: the XDG base directories)."""
    if root:
        return "/var/db/jail-task-driver"
    base = env.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):
        base = f"{env.get('HOME') or '/tmp'}/.local/state"  # noqa: S108  # without a home there is no better place
    return f"{base}/jail-task-driver"


def _state_dir(value: Any, problems: Problems) -> str:
    path = read.text("state_dir", value, problems, max_bytes=MAX_SOCKET_BYTES - SOCKET_SUFFIX_BYTES)
    if path is not None and (not path.startswith("/") or ".." in path.split("/") or not path.strip("/")):
        problems.add(
            "state_dir",
            path,
            "is not the absolute path of a directory",
            'write it in full, as "/var/db/jail-task-driver"',
        )
    return (path or "").rstrip("/")


def _tools(value: Any, problems: Problems) -> str:
    if not isinstance(value, str) or not (value in ("auto", "freebsd", "linux") or value.startswith("/")):
        problems.add("jail_tools", value, "is unknown", "write auto, freebsd, linux or an absolute directory")
    return str(value)


def _signal(value: Any, problems: Problems) -> str:
    name = str(value).upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in SIGNALS:
        problems.add(
            "kill_signal", value, "is no signal that ends a task", f"write one of {', '.join(SIGNALS)}"
        )
    return name


def _seconds(given: Mapping[str, Any], name: str, default: float, problems: Problems) -> float:
    if name not in given:
        return default
    found = read.seconds(name, given[name], problems)
    return default if found is None else found


def _limits(given: Mapping[str, Any], default: frozenset[str], problems: Problems) -> frozenset[str]:
    if "resource_limits" not in given:
        return default
    names = read.texts("resource_limits", given["resource_limits"], problems, max_bytes=16)
    for name in names:
        if name not in RESOURCES:
            problems.add("resource_limits", name, "is unknown", f"write some of {', '.join(RESOURCES)}")
    return frozenset(names)


def _policy(given: Mapping[str, Any], problems: Problems) -> Policy:
    """Returns the preset with what the allow_ options say instead; "*" in one of them means everything."""
    preset = given.get("policy", "open")
    if not isinstance(preset, str) or preset not in PRESETS:
        problems.add("policy", preset, "is unknown", "write open or strict")
        preset = "strict"
    changes: dict[str, tuple[str, ...] | None] = {}
    for name in FIELDS:
        option = f"allow_{name}"
        if option in given:
            items = read.texts(option, given[option], problems, max_bytes=1023)
            items = (
                tuple(_rightly_spelt(item) for item in items) if name in ("hooks", "parameters") else items
            )
            _check_items(option, name, items, problems)
            changes[name] = None if "*" in items else items
    return replace(PRESETS[preset], **changes)


def _rightly_spelt(item: str) -> str:
    """Takes a job's key (``Exec_prestart``) for the jail parameter that it sets."""
    key = BY_NAME.get(item)
    return key.param if key is not None and key.param else item


def _check_items(option: str, name: str, items: tuple[str, ...], problems: Problems) -> None:
    for item in items:
        if item == "*":
            continue
        if name == "hooks" and item not in HOOKS:
            problems.add(option, item, "is no hook", f"write some of {', '.join(HOOKS)}")
        if name in ("paths", "volumes", "devices", "hook_programs") and not item.startswith("/"):
            problems.add(option, item, "is no absolute path", "write it in full, from /")
        if name == "addresses" and not _is_network(item):
            problems.add(option, item, "is no network", 'write it in CIDR form, as "192.0.2.0/24"')


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
