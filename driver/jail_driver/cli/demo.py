"""``make run``: the document's http-echo task, with a root made of this host's own directories."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from jail_driver.cli import demo_root, runner, userns
from jail_driver.cli.paths import state_directory
from jail_driver.cli.run import read_job
from jail_driver.errors import DriverError, UnavailableError
from jail_driver.host import tools
from jail_driver.host.command import CommandRunner
from jail_driver.host.freebsd import FreeBSDHost

SECONDS_WITHOUT_TERMINAL: Final = 5.0
"""Nobody can press Ctrl-C there; long enough for a curl from elsewhere."""


def main() -> int:
    """Runs the demonstration; the exit status is the task's."""
    options = _parser().parse_args()
    # Before the namespace is entered: inside, everybody is root.
    base: Path = (options.base or state_directory(None).with_name("jail-task-driver-demo")).absolute()
    try:
        if userns.become_root():
            runner.say("not root: working inside a user namespace")
        base.mkdir(parents=True, exist_ok=True)
        base.chmod(0o711)
        with _alone(base / "lock"):
            return _demonstrate(demo_root.native(base), options)
    except DriverError as error:
        runner.say(str(error))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("job", help="a job file with a variable named root")
    parser.add_argument("--base", type=Path, metavar="DIR", help="where root and state are kept")
    parser.add_argument("--fetch", default="", metavar="URL", help="what to get from the task")
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="stop after this time")
    return parser


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnavailableError(f"another `make run` is using {path.parent}") from None
        yield


def _demonstrate(base: Path, options: argparse.Namespace) -> int:
    root, state_dir = base / "root", base / "state"
    seconds = options.seconds
    if seconds is None and not sys.stdin.isatty():
        seconds = SECONDS_WITHOUT_TERMINAL
    runner.say(f"root: {root} (read-only mounts of this host's directories); state: {state_dir}")
    asyncio.run(_mounts(root, state_dir, up=True))
    try:
        if seconds is None:
            runner.say("Ctrl-C stops")
        return runner.run(
            runner.Wanted(
                job=read_job(options.job),
                variables={"root": str(root)},
                state_dir=state_dir,
                fetch=options.fetch,
                seconds=seconds,
                alone=True,
            )
        )
    finally:
        asyncio.run(_mounts(root, state_dir, up=False))
        runner.say(f"the history: jail-task-driver state-dump --events --state-dir {state_dir}")


async def _mounts(root: Path, state_dir: Path, *, up: bool) -> None:
    state_dir.mkdir(mode=0o700, exist_ok=True)
    commands = CommandRunner()
    host = FreeBSDHost(await tools.discover("auto", state_dir, commands), commands)
    if up:
        await demo_root.make(host, root)
    else:
        await demo_root.unmake(host, root)


if __name__ == "__main__":
    sys.exit(main())
