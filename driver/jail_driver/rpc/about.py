"""What the plugin says about itself, as declared data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jail_driver import hclspec
from jail_driver.version import __version__

PLUGIN_API_VERSION = "0.1.0"
"""The version of Nomad's driver API (plugins/drivers/versions.go)."""


@dataclass(frozen=True, slots=True)
class About:
    """Name, schemas and capabilities.

    Args:
        plugin_schema: makes the schema of the agent's ``plugin "jail-task-driver" { config { … } }``.
        task_schema: makes the schema of a job's ``config { … }``.
        name: the driver's name in jobs; the executable's name in plugin_dir.
        version: semantic, parsed by Nomad.
        exec: whether ExecTask and ExecTaskStreaming work.
    """

    plugin_schema: Callable[[], hclspec.Spec]
    task_schema: Callable[[], hclspec.Spec]
    name: str = "jail-task-driver"
    version: str = __version__
    exec: bool = False
