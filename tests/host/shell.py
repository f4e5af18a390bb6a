"""Small programs for the tests of commands, and ways to watch processes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jail_driver.host.command import CommandRunner, Completed

SH = "/bin/sh"


def run(script: str, **options: Any) -> Completed:
    """Runs a shell script through the runner."""
    return asyncio.run(CommandRunner().run([SH, "-c", script], **options))


def alive(pid: int) -> bool:
    """Tells whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(condition: Callable[[], object], timeout_s: float = 5.0) -> bool:
    """Waits until ``condition()`` holds."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def may_become_others() -> bool:
    """Tells whether we are root, and not that of a user namespace with one user."""
    mapped = Path("/proc/self/uid_map")
    sizes = [int(line.split()[2]) for line in mapped.read_text().splitlines()] if mapped.exists() else [2]
    return os.geteuid() == 0 and sum(sizes) > 1
