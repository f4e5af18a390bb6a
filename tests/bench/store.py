"""What group commit buys: appends a second through the journal against one transaction each.

Run it by hand or by ``make bench``: ``python tests/bench/store.py [--tasks N] [--events N]``. Prints JSON:
rates on this disk mean little, the ratios carry over.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from jail_state.core.events import StepSucceeded
from jail_state.store.port import Append
from jail_state.store.sqlite import open_store
from jail_state.store.writer import Journal


def append(task: int, version: int, *, durable: bool) -> Append:
    """Make an append as a step's outcome would be."""
    event = StepSucceeded("mount /alloc", {"fsid": "0102030405060708", "target": "/state/t/0/root/alloc"})
    return Append(f"00000000-0000-0000-0000-{task:012}/web/0", version, (event,), time.time_ns(), durable)


def one_each(path: Path, tasks: int, events: int, *, durable: bool) -> float:
    """Store each append in a transaction of its own; return the seconds."""
    with closing(open_store(path)) as store:
        began = time.perf_counter()
        for version in range(events):
            for task in range(tasks):
                store.commit([append(task, version, durable=durable)])
        return time.perf_counter() - began


async def _grouped(path: Path, tasks: int, events: int, *, durable: bool) -> float:
    journal = Journal(lambda: open_store(path))
    await journal.open()

    async def live(task: int) -> None:
        for version in range(events):
            await journal.append(append(task, version, durable=durable))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for task in range(tasks):
            group.create_task(live(task))
    took = time.perf_counter() - began
    await journal.close()
    return took


def grouped(path: Path, tasks: int, events: int, *, durable: bool) -> float:
    """Let as many tasks append at once, each waiting for its own; return the seconds."""
    return asyncio.run(_grouped(path, tasks, events, durable=durable))


def replayed(path: Path) -> float:
    """Read everything back, as a new plugin does; return the seconds."""
    with closing(open_store(path)) as store:
        began = time.perf_counter()
        store.live()
        return time.perf_counter() - began


def main() -> None:
    """Measure both ways, with and without an fsync a commit."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tasks", type=int, default=200, help="tasks that append at once")
    arguments.add_argument("--events", type=int, default=5, help="events of each")
    options = arguments.parse_args()
    count = options.tasks * options.events
    figures: dict[str, object] = {"appends": count, "tasks": options.tasks}
    with tempfile.TemporaryDirectory(prefix="jail-bench-") as directory:
        for kind, durable in (("durable", True), ("process-safe", False)):
            single_s = one_each(
                Path(directory, f"single-{kind}.db"), options.tasks, options.events, durable=durable
            )
            path = Path(directory, f"grouped-{kind}.db")
            grouped_s = grouped(path, options.tasks, options.events, durable=durable)
            figures[kind] = {
                "one_transaction_each_per_s": round(count / single_s),
                "group_commit_per_s": round(count / grouped_s),
                "ratio": round(single_s / grouped_s, 1),
            }
        figures["read_back_events_per_s"] = round(count / replayed(path))
    json.dump({"store": figures}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
