"""What a row of the key table says, and the problems that reading a configuration may find."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from jail_driver.errors import ConfigError

_SHOWN = 60
_LABEL = 80
_REASON = 300


class Kind(Enum):
    """How a key's value is read, and where it goes."""

    FLAG = "flag"
    """A boolean parameter of the kernel: sent as ``allow.x`` or ``allow.nox``."""
    TEXT = "text"
    """A text parameter of the kernel."""
    INT = "int"
    """An integer parameter of the kernel."""
    CHOICE = "choice"
    """A jailsys parameter of the kernel: inherit, new, disable."""
    PAIRS = "pairs"
    """Lines of key=value for the kernel: meta and env."""
    COMMANDS = "commands"
    """Commands of one hook."""
    SWITCH = "switch"
    """A boolean of ours or of jail(8) itself, never sent to the kernel."""
    SECONDS = "seconds"
    """A duration of ours or of jail(8) itself."""
    WORD = "word"
    """A text of jail(8) itself."""
    NUMBER = "number"
    """A number of jail(8) itself."""
    LIST = "list"
    """Texts of jail(8) itself."""
    SPECIAL = "special"
    """Read by code of its own."""


KERNEL_KINDS = frozenset({Kind.FLAG, Kind.TEXT, Kind.INT, Kind.CHOICE, Kind.PAIRS})
"""Kinds whose values are arguments of ``jail -c``."""


class Fate(Enum):
    """What the driver does with a key."""

    WORKS = "works"
    ALIAS = "old spelling"
    IDLE = "accepted, no effect"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the table.

    Args:
        name: as written in the job.
        param: jail(8)'s name; empty for the driver's own keys.
        kind: how the value is read.
        doc: one sentence for the reference page.
        since: FreeBSD release that brought it; empty: older than 12.
        module: kernel module that must be loaded.
        default_on: jail(8) turns it on unless told otherwise.
        create_only: cannot be changed later (the driver never does).
        guarded: needs the operator's permission under a strict policy.
        low, high: bounds of a number, inclusive.
        choices: values of a CHOICE.
        max_bytes: most bytes of a text, without the final NUL.
        fate: what the driver does with it.
        instead: for ALIAS the right key, for REFUSED and IDLE what to write instead, or why.
    """

    name: str
    param: str
    kind: Kind
    doc: str
    since: str = ""
    module: str = ""
    default_on: bool = False
    create_only: bool = False
    guarded: bool = False
    low: int = 0
    high: int = 2**31 - 1
    choices: tuple[str, ...] = ()
    max_bytes: int = 1023
    fate: Fate = Fate.WORKS
    instead: str = ""


def shown(value: Any) -> str:
    """Returns a value as a job would write it, on one line and shortened to 60 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return printable(text, _SHOWN)


def printable(text: str, limit: int) -> str:
    """Returns text on one line, with escapes for what no log may hold, and at most ``limit`` characters."""
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


@dataclass(slots=True)
class Problems:
    """Collects everything that is wrong, so that one answer names it all.

    Args:
        found: the sentences so far.
        missing: jail parameters that the kernel lacks: it may be worth asking the kernel again.
        notices: what is accepted, but should be said.
    """

    found: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    notices: list[str] = field(default_factory=list)

    def add(self, key: str, value: Any, reason: str, remedy: str) -> None:
        """Notes one problem as a sentence: key, value, reason, remedy."""
        reason, remedy = printable(reason, _REASON), printable(remedy, _REASON)
        self.found.append(f"{printable(key, _LABEL)} = {shown(value)}: {reason}; {remedy}")

    def lack(self, key: str, param: str, reason: str, remedy: str) -> None:
        """Notes that the kernel has no such parameter."""
        self.missing.add(param)
        self.found.append(f"{printable(key, _LABEL)}: {printable(reason, _REASON)}; {remedy}")

    def raise_if_any(self) -> None:
        """Raises what was found.

        Raises:
            MissingParameterError: something was only missing from the kernel's list.
            ConfigError: otherwise, if anything was found.
        """
        if self.missing:
            raise MissingParameterError(frozenset(self.missing), *self.found)
        if self.found:
            raise ConfigError(*self.found)


class MissingParameterError(ConfigError):
    """A configuration that needs jail parameters which the running kernel lacks.

    kldload(8) may bring them: the caller asks the kernel once more and parses again before it refuses.

    Args:
        missing: their jail(8) names.
        problems: everything found, missing or not.
    """

    def __init__(self, missing: frozenset[str], *problems: str) -> None:
        self.missing = missing
        super().__init__(*problems)
