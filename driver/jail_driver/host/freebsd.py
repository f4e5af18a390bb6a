"""The one real host adapter: FreeBSD's commands, or programs that behave like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jail_driver.host.datasets import DatasetCommands
from jail_driver.host.jails import JailCommands
from jail_driver.host.limits import LimitCommands
from jail_driver.host.mounts import MountCommands
from jail_driver.host.network import NetworkCommands
from jail_driver.host.vnet import VnetCommands

if TYPE_CHECKING:
    from jail_driver.host.port import JailHost
    from jail_driver.host.tools import Tools


class FreeBSDHost(JailCommands, MountCommands, NetworkCommands, VnetCommands, LimitCommands, DatasetCommands):
    """A host that is driven by FreeBSD's commands, each found by absolute path.

    Create it within the event loop that uses it.

    Args:
        tools: where the commands are.
        runner: how they are run; the default runs them.
    """


if TYPE_CHECKING:

    def _keeps_the_port(tools: Tools) -> JailHost:
        return FreeBSDHost(tools)
