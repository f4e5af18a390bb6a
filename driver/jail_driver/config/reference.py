"""Prints the reference page of parameters, made from the tables: ``python -m jail_driver.config.reference``."""

from __future__ import annotations

import sys
from collections.abc import Iterable  # signatures are read by the type checker

from jail_driver.config.keys import COMMANDS, NETWORK_AND_FILES, SPELLINGS
from jail_driver.config.keys_kernel import ALLOW, CORE, MODULES
from jail_driver.config.kinds import KERNEL_KINDS, Fate, Key, Kind
from jail_driver.config.options import OPTIONS
from jail_driver.config.reference_text import FROM_THE_GO_DRIVER, INTRODUCTION, RCTL
from jail_driver.config.rules import ACTIONS, PERS, RESOURCES

_FORMS = {
    Kind.FLAG: "true, false",
    Kind.SWITCH: "true, false",
    Kind.PAIRS: "text, or a map of names and texts",
    Kind.COMMANDS: "command or list of commands",
    Kind.SECONDS: 'seconds, or `"1m30s"`',
    Kind.WORD: "text",
    Kind.LIST: "text or list",
}
_SPECIAL_FORMS = {
    "Path": "absolute path",
    "Ip4_addr": "text or list",
    "Ip6_addr": "text or list",
    "Vnet": 'true, false, `"new"`, `"inherit"`',
    "Persist": "true, false",
    "Exec_start": "command or list of commands",
    "Command": "command, or list of arguments",
    "Rctl": "map or block",
    "Params": "map",
}


def render() -> str:
    """Returns the whole page."""
    parts = [
        INTRODUCTION,
        _section("Commands and users", COMMANDS),
        _section("The jail", CORE),
        _section("Permissions", ALLOW),
        _section("Network, mounts, limits and others", NETWORK_AND_FILES),
        _section("Parameters of kernel modules", MODULES),
        _spellings(),
        RCTL,
        _resources(),
        _options(),
        FROM_THE_GO_DRIVER,
    ]
    return "\n".join(parts)


def _section(title: str, keys: tuple[Key, ...]) -> str:
    rows = [
        (
            f"`{key.name}`",
            f"`{key.param}`" if key.param else "",
            _form(key),
            key.doc + _fate(key),
            _needs(key),
        )
        for key in keys
    ]
    return f"## {title}\n\n" + _table(("Key", "jail(8)", "Value", "Meaning", "Needs"), rows)


def _form(key: Key) -> str:
    if key.fate is Fate.REFUSED:
        return "—"
    if key.kind in (Kind.INT, Kind.NUMBER):
        return f"{key.low} to {key.high}"
    if key.kind is Kind.CHOICE:
        return ", ".join(f'`"{choice}"`' for choice in key.choices)
    if key.kind is Kind.TEXT:
        return f"text, at most {key.max_bytes} bytes"
    return _FORMS.get(key.kind) or _SPECIAL_FORMS[key.name]


def _fate(key: Key) -> str:
    if key.fate is Fate.REFUSED:
        return f" **Refused**: {key.instead}."
    if key.fate is Fate.IDLE:
        return f" **No effect**: {key.instead}."
    return " On by default." if key.default_on else ""


def _needs(key: Key) -> str:
    if key.fate is not Fate.WORKS:
        return ""
    needs = [f"FreeBSD {key.since}"] if key.since and key.kind in KERNEL_KINDS else []
    needs += [f"module {key.module}"] if key.module else []
    needs += ["permission"] if key.guarded else []
    return ", ".join(needs)


def _spellings() -> str:
    rows = [(f"`{key.name}`", f"`{key.instead}`") for key in SPELLINGS]
    text = "Accepted, with a notice in the task's events:"
    return f"## Other spellings\n\n{text}\n\n" + _table(("Key", "Means"), rows)


def _resources() -> str:
    rows = [
        (
            f"`{name.capitalize()}`",
            resource.doc,
            resource.unit,
            "yes" if resource.deny else "no",
            "yes" if resource.throttle else "no",
            ", ".join(per for per in PERS if per != "process" or resource.per_process),
        )
        for name, resource in RESOURCES.items()
    ]
    actions = ", ".join(f"`{action}`" for action in ACTIONS)
    return f"`Action` is one of {actions}.\n\n" + _table(
        ("Resource", "Of the jail", "Unit", "deny", "throttle", "`Per` (default: jail)"), rows
    )


def _options() -> str:
    rows = [
        (f"`{option.name}`", option.type, f"`{option.default}`" if option.default else "", option.doc)
        for option in OPTIONS
    ]
    text = (
        'Written by the operator in the agent\'s configuration: `plugin "jail-task-driver" { config { … } }`. '
        'Durations are texts such as `"90s"`. An `allow_` option that is given allows what it lists, and '
        '`"*"` in it everything. One that is absent allows everything under `policy = "open"`; under '
        '`policy = "strict"` nothing, but for `allow_volumes` and `allow_hook_programs`.'
    )
    return f"## Plugin options\n\n{text}\n\n" + _table(("Option", "Type", "Default", "Meaning"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [_row(head), _row("---" for _ in head), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(render())
