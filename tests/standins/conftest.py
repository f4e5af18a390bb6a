"""Fixtures of the stand-ins' contract: the same rows against the stand-ins and against FreeBSD's commands."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standins.toolbox import Toolbox, install

_FREEBSD_ELF = 9


def is_freebsd(name: str) -> bool:
    """Whether a command is FreeBSD's own binary, under the Linux ABI too (byte 7 of an ELF file)."""
    found = shutil.which(name, path="/sbin:/usr/sbin:/bin:/usr/bin")
    if not found:
        return False
    with Path(found).open("rb") as stream:
        return stream.read(8)[7:8] == bytes([_FREEBSD_ELF])


def need_root() -> None:
    """Skip where jails cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root (tests/standins/test_userns.py covers the rest)")


@pytest.fixture
def work() -> Iterator[Path]:
    """An empty directory with a short path; its real path, as jls shows it."""
    folder = Path(tempfile.mkdtemp(prefix="jl")).resolve()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def standins(work: Path) -> Iterator[Toolbox]:
    """The stand-ins with a registry of their own."""
    need_root()
    if sys.platform != "linux" or is_freebsd("jail") or "BSD" in os.uname().version:
        pytest.skip("the stand-ins are for Linux kernels")
    install(work / "tools")
    box = Toolbox(work / "tools", work / "w")
    box.work.mkdir()
    yield box
    box.clean_up()


@pytest.fixture(params=["freebsd" if is_freebsd("jail") else "stand-ins"])
def tools(request: pytest.FixtureRequest, work: Path) -> Iterator[Toolbox]:
    """The commands that the contract is checked against: FreeBSD's own where they are, else the stand-ins."""
    if request.param == "stand-ins":
        yield request.getfixturevalue("standins")
        return
    need_root()
    box = Toolbox(None, work / "w")
    box.work.mkdir()
    yield box
    box.clean_up()


@pytest.fixture
def network(standins: Toolbox) -> Iterator[Toolbox]:
    """The stand-ins inside an empty network namespace, whose loopback is up."""
    with subprocess.Popen(["unshare", "-n", "sleep", "600"]) as holder:
        namespace = Path(f"/proc/{holder.pid}/ns/net")
        own = Path("/proc/self/ns/net").readlink()
        while namespace.readlink() == own:
            time.sleep(0.01)
        standins.prefix = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
        standins.ok("ifconfig lo0 up")
        yield standins
        standins.clean_up()
        holder.kill()
