"""The two schemas that Nomad asks for, made from the tables."""

from __future__ import annotations

from jail_driver.config.keys import KEYS
from jail_driver.config.options import OPTIONS
from jail_driver.hclspec import Attr, Default, Literal, Object, Spec


def task_schema() -> Object:
    """Returns the schema of a job's ``config`` block.

    Every key has the type ``any``: Nomad then hands over whatever the job says, ``Rctl = {…}`` and
    ``Rctl {…}`` alike, and the driver can name all mistakes in one answer, with their values and remedies,
    where Nomad would stop at the first wrong type.
    """
    return Object({key.name: Attr(key.name, "any") for key in KEYS})


def plugin_schema() -> Object:
    """Returns the schema of the agent's ``plugin "jail-task-driver" { config { … } }`` block."""
    return Object({option.name: _option(option.name, option.type, option.default) for option in OPTIONS})


def _option(name: str, kind: str, default: str) -> Spec:
    attr = Attr(name, kind)
    return Default(attr, Literal(default)) if default else attr
