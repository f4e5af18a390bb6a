"""Measures what a task costs in memory: PSS of the fork helper and of forked supervisors.

Run it by hand: ``.venv/bin/python tests/bench/supervisor.py [TASKS]``. PSS shares a page's size among the
processes that map it (proc_pid_smaps(5)), so the figure for one supervisor falls with their number; the
private part does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jail_driver.supervisor.client import SupervisorClient
from jail_driver.supervisor.launcher import ForkHelper

if TYPE_CHECKING:
    from jail_driver.supervisor.procid import ProcessId

ORDER = {
    "setup": [],
    "main": {"argv": ["/bin/sleep", "1000"], "env": {"NOMAD_TASK_NAME": "bench"}, "cwd": None},
    "persist": False,
    "stdout": os.devnull,
    "stderr": os.devnull,
    "consolelog": None,
}


def memory_kb(pid: int) -> tuple[int, int]:
    """Returns PSS and private dirty memory of a process, in kilobytes."""
    fields = {
        line.split()[0]: int(line.split()[1])
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    }
    return fields["Pss:"], fields["Private_Dirty:"]


async def start(helper: ForkHelper, folder: Path, number: int) -> tuple[ProcessId, Path, float]:
    """Starts one supervised task; returns its supervisor, its socket, and the seconds it took."""
    began = time.perf_counter()
    socket_path = folder / f"{number}.sock"
    launched = await helper.spawn(folder / f"sup{number}", socket_path)
    await launched.go(ORDER)
    return launched.identity, socket_path, time.perf_counter() - began


async def stop(socket_path: Path) -> None:
    """Ends one task; it may be gone before we can wait for it."""
    with contextlib.suppress(EOFError):
        async with SupervisorClient(socket_path) as client:
            await client.signal("SIGKILL")
            await client.wait_gone()


async def measure(folder: Path, tasks: int) -> None:
    """Starts the tasks, prints the figures, ends the tasks."""
    helper = ForkHelper("bench")
    started: list[tuple[ProcessId, Path, float]] = []
    try:
        for number in range(tasks):
            started.append(await start(helper, folder, number))
            if number + 1 not in {1, 10, tasks}:
                continue
            figures = [memory_kb(supervisor.pid) for supervisor, _, _ in started]
            pss = statistics.mean(one for one, _ in figures)
            private = statistics.mean(two for _, two in figures)
            helper_pss, _ = memory_kb(helper.pid or 0)
            print(  # noqa: T201  # figures for people
                f"{number + 1:4d} supervisors: {pss / 1024:.2f} MB PSS each ({private / 1024:.2f} MB private),"
                f" helper {helper_pss / 1024:.2f} MB"
            )
        times = [seconds for _, _, seconds in started[1:]] or [started[0][2]]
        print(f"start of one task: median {statistics.median(times) * 1000:.1f} ms")  # noqa: T201  # as above
    finally:
        for _, socket_path, _ in started:
            await stop(socket_path)
        await helper.close()


def main() -> None:
    """Runs the measurement in a directory of its own."""
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="jtd-bench-") as folder:
        asyncio.run(measure(Path(folder), tasks))


if __name__ == "__main__":
    main()
