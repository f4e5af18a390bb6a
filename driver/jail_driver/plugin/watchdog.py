"""Ends a plugin whose event loop stands still.

The agent waits for ever for the answer of a plugin that lives, and starts another one for a plugin that died;
that one takes everything back. What makes a loop stand still: a thread that dies of a lack of memory before it
has begun (Thread.start waits for it), a call that hangs in the kernel, a defect of ours.

The kernel is the watchdog (setitimer(2), SIGALRM ends a process): it needs neither memory nor a thread.
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal

MOST_S = 60.0
"""So long may the loop stand still. Nothing that it does takes a second."""

_ROUNDS = 12


async def watch() -> None:
    """Show that the loop lives, until cancelled. Where it stands is on stderr before the end."""
    faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)
    try:
        while True:
            signal.setitimer(signal.ITIMER_REAL, MOST_S)
            await asyncio.sleep(MOST_S / _ROUNDS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
