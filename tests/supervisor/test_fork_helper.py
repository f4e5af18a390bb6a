"""The process that supervisors are forked from: it may die, it leaks nothing into them, it is small."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jail_driver.supervisor import fork_helper
from jail_driver.supervisor.client import alive
from jail_driver.supervisor.launcher import ForkHelper
from supervisor.lab import BOOT, Lab, children, command, shell, state_of, until


class TestHelperKilled:
    """The helper may die at any time: it holds nothing."""

    def test_its_supervisors_live_on_and_the_next_task_gets_a_new_helper(self, lab: Lab) -> None:
        """Nobody has to notice."""

        async def test() -> None:
            main = await lab.main(shell("exec sleep 30"))
            first = lab.helper.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            until(lambda: state_of(first) in {"", "Z"}, "the helper's end")
            other = await lab.helper.spawn(lab.folder / "other", lab.folder / "o.sock")
            assert lab.helper.pid not in {None, first}
            other.abort()
            assert state_of(main.pid) != ""
            assert alive(lab.sup_dir)

        lab.run(test())

    def test_it_leaves_no_zombies(self, lab: Lab) -> None:
        """It reaps its supervisors, however many tasks come and go."""

        async def test() -> None:
            for number in range(5):
                launched = await lab.helper.spawn(lab.folder / f"{number}", lab.folder / f"{number}.sock")
                await launched.go(lab.order(command("/bin/true")))
            helper = lab.helper.pid
            assert helper is not None
            until(lambda: children(helper) == [], "no children")

        lab.run(test())

    def test_many_are_forked_at_once(self, lab: Lab) -> None:
        """A node that starts has many tasks to start."""

        async def one(number: int) -> int:
            launched = await lab.helper.spawn(lab.folder / f"{number}", lab.folder / f"{number}.sock")
            main = await launched.go(lab.order(command("/bin/true")))
            assert main is not None
            return main.pid

        async def test() -> None:
            pids = await asyncio.gather(*(one(number) for number in range(20)))
            assert len(set(pids)) == 20

        lab.run(test())

    def test_no_supervisor_holds_anothers_descriptors(self, lab: Lab) -> None:
        """A go channel that leaked into a sibling would never end, nor would a lock."""

        async def test() -> None:
            first = await lab.spawn()
            second = await lab.helper.spawn(lab.folder / "other", lab.folder / "o.sock")
            fds = [str(fd.readlink()) for fd in Path(f"/proc/{second.identity.pid}/fd").iterdir()]
            mine = {
                "/dev/null",
                f"{lab.folder}/other",
                f"{lab.folder}/other/lock",
                f"{lab.folder}/other/supervisor.log",
            }
            assert {fd for fd in fds if fd.startswith("/")} == mine
            assert sum(fd.startswith("socket:") for fd in fds) == 2
            assert sum(fd.startswith("pipe:") for fd in fds) == 2
            first.abort()
            await asyncio.to_thread(lab.wait_ended)
            second.abort()

        lab.run(test())

    def test_a_running_one_holds_what_it_needs(self, lab: Lab) -> None:
        """The go channel is closed, and of the log only what keeps the FIFOs open."""

        async def test() -> None:
            await lab.main(shell("exec sleep 30"))
            folder = Path(f"/proc/{lab.supervisor.pid}/fd")
            held: list[str] = []
            async with asyncio.timeout(10):
                # It answers on the go channel first and closes it then.
                while not held or sum(one.startswith("socket:") for one in held) > 1:
                    await asyncio.sleep(0.02)
                    held = [str(fd.readlink()) for fd in folder.iterdir()]
            named = [one for one in held if one.startswith(str(lab.folder))]
            records = [f"{lab.sup_dir}", f"{lab.sup_dir}/lock", f"{lab.sup_dir}/supervisor.log"]
            assert sorted(named) == sorted([*records, str(lab.stdout), str(lab.stderr)])
            assert sum(one.startswith("socket:") for one in held) == 1

        lab.run(test())

    def test_the_agents_environment_stays_with_the_plugin(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It holds tokens, and /proc shows it for as long as a supervisor lives."""
        monkeypatch.setenv("NOMAD_TOKEN", "secret")

        async def test() -> None:
            launched = await lab.spawn()
            for pid in (lab.helper.pid, launched.identity.pid):
                assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
            launched.abort()

        lab.run(test())

    def test_an_interpreter_that_is_missing_is_said(self, lab: Lab) -> None:
        """One sentence, not a traceback."""

        async def test() -> None:
            helper = ForkHelper(BOOT, python="/no/such/python")
            with pytest.raises(Exception, match=r"cannot start the fork helper: .*No such file"):
                await helper.spawn(lab.sup_dir, lab.socket)
            await helper.close()

        lab.run(test())


class Kernel:
    """A socket on FreeBSD: a descriptor for which the buffer has no room, padding included, is closed."""

    def __init__(self, data: bytes, fd: int) -> None:
        self._data = data
        self._fd = fd

    def recvmsg(self, size: int, space: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        """What kern_recvit() in sys/kern/uipc_syscalls.c hands over."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, self._fd.to_bytes(4, sys.byteorder))
        if space < socket.CMSG_SPACE(4):
            return self.recv(size), [], socket.MSG_CTRUNC, None
        return self.recv(size), [rights], 0, None

    def recv(self, size: int) -> bytes:
        """The next bytes."""
        head, self._data = self._data[:size], self._data[size:]
        return head


def test_a_request_has_room_for_its_descriptor() -> None:
    """With FreeBSD's own Python no task started: socket.recv_fds() asks for less than the kernel's padding needs."""
    ours, theirs = os.pipe()
    try:
        kernel: Any = Kernel(b"\x00\x00\x00\x02{}", theirs)
        assert fork_helper.receive(kernel) == ({}, theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_supervisor_loads_little() -> None:
    """A thousand of them fit on a node because the heavy modules stay out; tests/bench has the figures."""
    helper = Path(fork_helper.__file__)
    probe = (
        f"import sys; sys.path.append({str(helper.parents[2])!r}); import runpy;"
        f"runpy.run_path({str(helper)!r}); from jail_driver.supervisor import main;"
        "print(' '.join(sys.modules))"
    )
    argv = [sys.executable, "-I", "-S", "-c", probe]
    loaded = set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())
    assert "jail_driver.supervisor.task" in loaded
    heavy = {"asyncio", "dataclasses", "pathlib", "subprocess", "threading", "inspect", "traceback", "grpc"}
    assert loaded & heavy == set()
