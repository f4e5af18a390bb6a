"""Measures what operating tasks costs: figures of 1,000 tasks a second, and 100 commands at once.

Run it by hand: ``.venv/bin/python tests/bench/live_task.py``. The first part needs no privileges: it feeds what
ps(1) and rctl(8) print for 1,000 jails with three processes each through parsers and meters. The second
starts a plugin on the stand-ins, as root.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jail_driver.engine.meter import Meter, Reading
from jail_driver.host import usage_native, usage_parse

TASKS = 1000
PROCESSES = 3
ROUNDS = 10


def say_so(text: str) -> None:
    """Prints a line."""
    sys.stdout.write(f"{text}\n")


def listing(round_number: int) -> bytes:
    """What ps(1) prints for all tasks."""
    return b"".join(
        b"%5d %5d %4d %7d %3d:%05.2f   0:00.10 %3d:%05.2f\n"
        % (10_000 + number, 1, number // PROCESSES + 1, 4096, 0, round_number / 10, 1, round_number / 10)
        for number in range(TASKS * PROCESSES)
    )


def counters(names: list[str]) -> bytes:
    """What ``rctl -u`` prints for all tasks: 25 lines each."""
    rest = b"".join(b"resource%d=0\n" % number for number in range(22))
    return b"".join(b"cputime=1\nmemoryuse=12582912\nswapuse=0\n" + rest for _ in names)


def figures() -> None:
    """Prints the processor time of one sample of all tasks."""
    names = [f"jail-{number}" for number in range(TASKS)]
    meters = [Meter() for _ in range(TASKS)]
    texts = [(listing(number), counters(names)) for number in range(ROUNDS)]
    began_s = time.process_time()
    for number, (processes, racct) in enumerate(texts):
        by_jid: dict[int, list[usage_parse.ProcessUsage]] = {}
        for one in usage_parse.processes(processes):
            by_jid.setdefault(one.jid, []).append(one)
        counted = usage_parse.counters(racct, names)
        for index, meter in enumerate(meters):
            reading = Reading(number, number, by_jid[index + 1], 0.0, counted[names[index]], 1.0, 2000.0)
            meter.read(reading)
    spent_s = (time.process_time() - began_s) / ROUNDS
    say_so(
        f"figures of {TASKS} tasks with {PROCESSES} processes each: {spent_s * 1000:.0f} ms of one core a sample"
    )
    native = bytes(1088) * TASKS * PROCESSES
    whole = b"\x40\x04\x00\x00" + native[4:1088]
    began_s = time.process_time()
    usage_native.parse(whole * (TASKS * PROCESSES), 4096)
    say_so(f"the kernel's own list of as many processes: {(time.process_time() - began_s) * 1000:.0f} ms")


async def commands() -> None:
    """Prints how long 100 commands at once take, and what 10 MB through ``cat`` take."""
    from operate.operating import say, sh, task  # noqa: PLC0415  # needs root and the tests' tools

    async with task(HOST) as (plugin, spec):
        began_s = time.monotonic()
        await asyncio.gather(
            *(say(plugin, spec, *sh("cat"), stdin=[b"x"], timeout_s=120) for _ in range(100))
        )
        say_so(f"100 commands at once: {time.monotonic() - began_s:.1f} s")
        data = [os.urandom(64 * 1024)] * 160
        began_s = time.monotonic()
        said = await say(plugin, spec, "cat", stdin=data, timeout_s=120)
        took_s = time.monotonic() - began_s
        say_so(f"{len(said.stdout) / 1e6:.1f} MB through cat and back: {took_s:.1f} s")


if __name__ == "__main__":
    figures()
    if os.geteuid() == 0:
        import rig

        with rig.host() as HOST:
            asyncio.run(commands())
