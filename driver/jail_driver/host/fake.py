"""An in-memory host for unit tests, held to the same contract suite as the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jail_driver.host.fakejails import FakeJails
from jail_driver.host.fakemounts import FakeMounts
from jail_driver.host.fakenetwork import FakeNetwork

if TYPE_CHECKING:
    from jail_driver.host.port import JailHost


class FakeHost(FakeJails, FakeMounts, FakeNetwork):
    """Behaves like FreeBSD where a task driver can notice.

    Removal is asynchronous, a root that a jail or another mount uses is busy, nullfs onto itself fails,
    names are unique among living jails only, rules outlive jails. Directories are looked up on the real
    file system, below the fake's own nullfs mounts; nothing is ever changed there. Locks are not taken.
    """


if TYPE_CHECKING:

    def _keeps_the_port() -> JailHost:
        return FakeHost()
