"""An event loop that stands still ends its process, and says where it stood."""

from __future__ import annotations

import signal
import subprocess
import sys

_PROGRAM = """
import asyncio, time
from jail_driver.plugin import watchdog

watchdog.MOST_S = 0.5

async def stand_still():
    time.sleep(30)

async def main():
    watching = asyncio.create_task(watchdog.watch())
    await asyncio.sleep(1.2)
    print("alive", flush=True)
    if {blocks}:
        await stand_still()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    time.sleep(0.7)
    print("unwatched", flush=True)

asyncio.run(main())
"""


def run(*, blocks: bool) -> subprocess.CompletedProcess[str]:
    """Run a loop that lives for a while, and then stands still or is not watched any more."""
    argv = [sys.executable, "-c", _PROGRAM.format(blocks=blocks)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)


def test_a_loop_that_stands_still() -> None:
    """It is ended by SIGALRM, with every thread's place on stderr."""
    done = run(blocks=True)
    assert (done.returncode, done.stdout) == (-signal.SIGALRM, "alive\n")
    assert "in stand_still" in done.stderr


def test_a_loop_that_lives() -> None:
    """It goes on for longer than the bound, and so does what comes after the watch."""
    done = run(blocks=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\nunwatched\n", "")
