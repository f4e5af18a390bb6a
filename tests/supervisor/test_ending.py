"""Which signal ended a process: also where the kernel is FreeBSD's and its numbers come translated."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from jail_driver.engine.steps.process import exited_of
from jail_driver.host.command import CommandRunner
from jail_driver.supervisor import ending, outcome
from jail_driver.supervisor.records import ExitRecord

# name, wait status, si_code, FreeBSD's number: as sys/compat/linux/linux.c and linux_misc.c translate; those
# without a core were seen with a Linux Python on a FreeBSD 15.1 kernel, whose child was a native sh(1).
TOLD = [
    ("exit 0", 0, os.CLD_EXITED, 0),
    ("exit 7", 7 << 8, os.CLD_EXITED, 0),
    ("HUP", 1, os.CLD_KILLED, 1),
    ("KILL", 9, os.CLD_KILLED, 9),
    ("BUS", 7 | 128, os.CLD_DUMPED, 10),
    ("USR1", 10, os.CLD_KILLED, 30),
    ("USR2", 12, os.CLD_KILLED, 31),
    ("SYS", 31 | 128, os.CLD_DUMPED, 12),
    ("EMT with a core", 128, os.CLD_DUMPED, 7),
    ("EMT without, or LIBRT", 0, os.CLD_KILLED, ending.UNTOLD),
    ("THR", -1, os.CLD_KILLED, 32),
    ("RTMIN", 32, os.CLD_KILLED, 65),
]


@pytest.mark.parametrize(
    ("status", "code", "number"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD]
)
def test_a_linux_program_on_freebsd(status: int, code: int, number: int) -> None:
    """Each number is FreeBSD's own again; what is not told is said to be untold, never an exit with 0."""
    assert ending.signal_of(status, code, translated=True) == number


@pytest.mark.parametrize("name", ["HUP", "KILL", "USR1", "SEGV", "TERM"])
def test_a_real_child(name: str) -> None:
    """Where nothing is translated: what the kernel says of a child that was killed."""
    number = signal.Signals[f"SIG{name}"]
    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.signal(number, signal.SIG_DFL) if name != "KILL" else None
        os.kill(os.getpid(), number)
        os._exit(0)
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    _, status = os.waitpid(pid, 0)
    assert ended is not None
    assert ending.signal_of(status, ended.si_code) == number
    assert ending.name_of(number) == f"SIG{name}"


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name belongs to the kernel's number."""
    monkeypatch.setattr(ending, "TRANSLATED", True)
    assert [ending.name_of(number) for number in (7, 10, 30, 33, 65)] == [
        "SIGEMT",
        "SIGBUS",
        "SIGUSR1",
        "SIGLIBRT",
        "signal 65",
    ]
    assert outcome.describe(outcome.decode(12, 1)) == "was killed by SIGUSR2"


def test_an_end_that_is_not_told_is_unknown_and_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose main SIGEMT killed has failed, and nobody claims to know its status."""
    monkeypatch.setattr(ending, "TRANSLATED", True)
    told = outcome.decode(0, 5, os.CLD_KILLED)
    assert not outcome.is_success(told)
    record = ExitRecord(
        told["exit_code"], told["signal"], core_dumped=False, ended_at_ns=5, main_pid=3, all_gone=True
    )
    assert "SIGEMT or SIGLIBRT" in exited_of(record).unknown_because


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(0, os.CLD_KILLED, "SIGEMT or SIGLIBRT"), (-1, os.CLD_KILLED, "SIGTHR"), (10, os.CLD_KILLED, "SIGUSR1")],
)
def test_a_hook_of_which_the_kernel_says_little(
    status: int, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that such a signal killed has not succeeded, whatever its status says."""
    waitid, waitpid = os.waitid, os.waitpid

    def like_freebsd(kind: int, who: int, options: int) -> object:
        ended = waitid(kind, who, options)
        assert ended is not None
        return os.waitid_result((ended.si_pid, ended.si_uid, ended.si_signo, 0, code))

    monkeypatch.setattr(ending, "TRANSLATED", True)
    monkeypatch.setattr(os, "waitid", like_freebsd)
    monkeypatch.setattr(os, "waitpid", lambda pid, options: (waitpid(pid, options)[0], status))
    done = asyncio.run(CommandRunner().run([sys.executable, "-I", "-S", "-c", ""], cwd=Path("/")))
    assert not done.ok
    assert words in done.ending
