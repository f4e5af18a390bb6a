"""The hosts that the contract suite runs on: the fake, the stand-ins, and FreeBSD itself.

The stand-ins run in mount and network namespaces of their own (as root in a user namespace, if need be), so
that a failed test leaves nothing on the machine that runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import jail_linux
from jail_driver.host.command import CommandRunner, Completed
from jail_driver.host.errors import HostError, ToolsError
from jail_driver.host.fake import FakeHost
from jail_driver.host.freebsd import FreeBSDHost
from jail_driver.host.port import JailHost
from jail_driver.host.tools import Tools, discover, in_directory

INSTALLER = Path(str(jail_linux.__file__)).with_name("install.py")


class World:
    """One host with a scratch directory on it.

    Args:
        host: what is tested.
        scratch: an empty directory without symbolic links in its path.
        start: starts a process in a jail, and returns whether it still runs.
        touch: runs a shell script as the host sees its files.
    """

    def __init__(
        self,
        host: JailHost,
        scratch: Path,
        start: Callable[..., Callable[[], bool]],
        touch: Callable[[str], str],
    ) -> None:
        self.host = host
        self.scratch = scratch
        self.start = start
        self.touch = touch

    def directory(self, name: str) -> Path:
        """Makes a directory in the scratch directory."""
        made = self.scratch / name
        made.mkdir(parents=True)
        return made

    async def gone(self, jid: int) -> None:
        """Waits until a removed jail is no longer dying."""
        for _ in range(500):
            if all(jail.jid != jid for jail in await self.host.jails()):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"jail {jid} is still there")

    async def refused(self, awaitable: Any) -> HostError:
        """Returns the error of an operation that must fail."""
        with pytest.raises(HostError) as caught:
            await awaitable
        return caught.value


Enter = Callable[..., World]
"""Opens a host; ``dying_s`` and ``racct`` are its settings, where a test needs them."""


@contextlib.contextmanager
def fake(scratch: Path, *, dying_s: float = 0.0, racct: bool = True) -> Iterator[World]:
    """The in-memory host."""
    host = FakeHost(dying_s=dying_s, racct=racct)

    def start(jid: int, *, ignores_term: bool = False) -> Callable[[], bool]:
        pid = host.start_process(jid, ignores_term=ignores_term)
        return lambda: any(pid in jail.processes for jail in host.jail_table.values())

    def touch(_script: str) -> str:
        pytest.skip("the in-memory host has no files of its own")

    yield World(host, scratch, start, touch)


@contextlib.contextmanager
def stand_ins(scratch: Path, *, dying_s: float = 0.0, racct: bool = True) -> Iterator[World]:
    """The Linux stand-ins, in namespaces of their own."""
    if sys.platform != "linux" or not Path("/proc/self/ns/uts").exists():
        pytest.skip("the stand-ins need Linux namespaces")
    tools = scratch / "tools"
    options = ["--dying-s", str(dying_s), *([] if racct else ["--no-racct"])]
    subprocess.run([sys.executable, "-I", "-S", INSTALLER, *options, tools], check=True)
    with _namespaces() as enter, _processes() as processes:
        yield _commanded(in_directory(tools), enter, processes, scratch)


@contextlib.contextmanager
def freebsd(scratch: Path, *, dying_s: float = 0.0, racct: bool = True) -> Iterator[World]:
    """FreeBSD's own commands; what a test leaves behind is removed."""
    if dying_s or not racct:
        pytest.skip("FreeBSD's own kernel has no such setting")
    tools = asyncio.run(discover("freebsd", scratch, CommandRunner()))
    with _processes() as processes:
        world = _commanded(tools, (), processes, scratch)
        before = asyncio.run(world.host.jails())
        try:
            yield world
        finally:
            asyncio.run(_cleared(world, {jail.jid for jail in before}))


async def _cleared(world: World, jids: set[int]) -> None:
    for jail in await world.host.jails():
        if jail.jid not in jids and jail.name.startswith("contract"):
            await world.host.kill_processes(jail.jid)
            await world.host.remove_jail(jail.jid)
    for mount in reversed(await world.host.mounts()):
        if mount.target.startswith(f"{world.scratch}/"):
            await world.host.unmount(mount, force=True)


def _commanded(
    tools: Tools, enter: Sequence[str], processes: list[subprocess.Popen[str]], scratch: Path
) -> World:
    def start(jid: int, *, ignores_term: bool = False) -> Callable[[], bool]:
        trap = "trap '' TERM; " if ignores_term else ""
        process = subprocess.Popen(
            [*enter, tools.jexec, str(jid), "/bin/sh", "-c", f"{trap}echo ready; exec sleep 60"],
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return functools.partial(_runs, process)

    def touch(script: str) -> str:
        done = subprocess.run([*enter, "/bin/sh", "-c", script], check=True, capture_output=True, text=True)
        return done.stdout

    return World(FreeBSDHost(tools, Inside(enter)), scratch, start, touch)


class Inside:
    """Runs every command inside the namespaces of one test.

    Args:
        enter: the words that put a command there.
    """

    def __init__(self, enter: Sequence[str]) -> None:
        self._enter = tuple(enter)

    async def run(self, argv: Sequence[str], **options: Any) -> Completed:
        """Runs it as ``CommandRunner`` does."""
        return await CommandRunner().run([*self._enter, *argv], **options)


@contextlib.contextmanager
def _namespaces() -> Iterator[tuple[str, ...]]:
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    holder = subprocess.Popen(
        [
            "unshare",
            *user,
            "--mount",
            "--net",
            "--uts",
            "--propagation",
            "private",
            "sh",
            "-c",
            "echo ready; exec sleep 600",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        if holder.stdout.readline() != "ready\n":
            pytest.skip(f"this kernel refuses the namespaces: {holder.stderr.read().strip()}")
        keep = ("--user", "--preserve-credentials") if user else ()
        yield (
            "/usr/bin/nsenter",
            "--target",
            str(holder.pid),
            *keep,
            "--mount",
            "--net",
            "--uts",
            "--wd=/",
            "--",
        )
    finally:
        holder.kill()
        holder.communicate()


@contextlib.contextmanager
def _processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _runs(process: subprocess.Popen[str]) -> bool:
    deadline_s = time.monotonic() + 0.5
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    return True


def why_no_freebsd() -> str:
    """Says why FreeBSD itself cannot be tested here; empty if it can."""
    try:
        asyncio.run(discover("freebsd", Path("/var/db"), CommandRunner()))
    except ToolsError as error:
        return f"no FreeBSD here: {error}"
    return "" if os.geteuid() == 0 else "needs root to make jails"


WORLDS = {"fake": fake, "stand-ins": stand_ins, **({} if why_no_freebsd() else {"freebsd": freebsd})}
