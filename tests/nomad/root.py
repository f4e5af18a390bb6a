"""The root that the tests' jobs name as ``Path``: the demo root, mounted with Linux's own mount(8)."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from jail_driver.cli import demo_root

RC = """#!/bin/sh
# What /etc/rc does for a jail with its own network stack: configures it and starts a daemon.
/usr/sbin/ip link set lo up
/usr/sbin/ip address add 192.168.1.103/24 dev e0b_loghost
/usr/sbin/ip link set e0b_loghost up
echo "starting as $(hostname)"
/usr/local/bin/http-echo -listen :9998 -text "from the vnet" >/dev/null 2>&1 &
"""
RC_SHUTDOWN = """#!/bin/sh
echo "shutting down"
"""


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def _unmount(mount: str) -> None:
    if Path(mount).is_mount():
        _run("umount", mount)


class UtilLinux:
    """Mounts as the administrator of a Linux host does."""

    async def mount(self, fstype: str, source: str, target: Path, options: tuple[str, ...] = ()) -> None:
        """Binds a directory and makes it read-only."""
        assert (fstype, options) == ("nullfs", ("ro",))
        for argv in (["--bind", source], ["-o", "remount,bind,ro"]):
            _run("mount", *argv, str(target))

    async def unmount(self, mount: str) -> None:
        """Unmounts; not mounted is fine."""
        _unmount(mount)


def make(root: Path) -> None:
    """Makes the root, with the two scripts of the document's second example."""
    root.mkdir()
    asyncio.run(demo_root.make(UtilLinux(), root))
    (root / "etc/rc").write_text(RC)
    (root / "etc/rc.shutdown").write_text(RC_SHUTDOWN)
