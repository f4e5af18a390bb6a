"""The commands before main: in order, bounded, and what a failed one leaves behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from jail_driver.supervisor.client import read_failure, read_identity
from jail_driver.supervisor.errors import SupervisorStartError
from supervisor.lab import Lab, command, shell


class TestSetup:
    """The commands before main."""

    def test_they_run_one_by_one_before_main(self, lab: Lab) -> None:
        """In order, each to its end, with their output in the task's log."""

        async def test() -> None:
            lab.read_from(lab.stdout)
            await lab.main(shell("echo main"), shell("sleep 0.1; echo one"), shell("echo two"))

        lab.run(test())
        lab.wait_ended()
        assert lab.taken(lab.stdout) == b"one\ntwo\nmain\n"

    @pytest.mark.parametrize(
        ("setup", "reason", "sentence", "exit_code", "killed_by"),
        [
            (shell("exit 3"), "exit", "start command 2 failed with status 3", 3, 0),
            (shell("exit 4", text="Exec_start[1]"), "exit", "Exec_start[1] failed with status 4", 4, 0),
            (shell("kill -USR1 $$"), "exit", "start command 2 was killed by SIGUSR1", None, signal.SIGUSR1),
            (shell("sleep 30", timeout_s=0.2), "timeout", "start command 2 was killed after 0.2 s", None, 0),
            (command("/no/such"), "exec", "/no/such cannot be executed: No such file", None, 0),
        ],
    )
    def test_a_failing_one_fails_the_start(
        self,
        lab: Lab,
        setup: dict[str, object],
        reason: str,
        sentence: str,
        exit_code: int | None,
        killed_by: int,
    ) -> None:
        """Which one and how is said; main never runs; the supervisor ends with the last process."""

        async def test() -> SupervisorStartError:
            with pytest.raises(SupervisorStartError) as caught:
                await lab.start(shell(f"touch {lab.folder}/ran"), command("/bin/true"), setup)
            return caught.value

        error = lab.run(test())
        assert sentence in str(error)
        assert (error.step, error.reason, error.exit_code, error.signal) == (1, reason, exit_code, killed_by)
        lab.wait_ended()
        assert not (lab.folder / "ran").exists()
        identity = read_identity(lab.sup_dir)
        assert identity is not None
        assert identity.main is None

    def test_a_timeout_kills_the_whole_process_group(self, lab: Lab) -> None:
        """A hanging child of the command goes with it."""

        async def test() -> None:
            with pytest.raises(SupervisorStartError, match="time-out"):
                await lab.start(None, shell("sleep 30 & sleep 30", timeout_s=0.2))

        lab.run(test())
        lab.wait_ended()

    def test_it_stays_for_what_a_failed_start_left_behind(self, lab: Lab) -> None:
        """The left-overs are the teardown's; until they are gone there is somebody who reaps them."""

        async def test() -> None:
            with pytest.raises(SupervisorStartError):
                await lab.start(None, shell(f"sleep 30 & echo $! >{lab.folder}/pid; exit 1"))
            async with lab.client() as client:
                status = await client.status()
                assert (status.phase, status.started, status.all_gone) == ("start_failed", False, False)
                assert status.start_failed == "start command 1 failed with status 1"
                assert await client.wait_exit() is None
                os.kill(int((lab.folder / "pid").read_text()), signal.SIGKILL)
                await client.wait_gone()

        lab.run(test())
        lab.wait_ended()

    def test_told_to_end_it_leaves_what_a_failed_start_left_behind(self, lab: Lab) -> None:
        """Whoever says "end" has given up on the left-overs."""

        async def test() -> int:
            with pytest.raises(SupervisorStartError):
                await lab.start(None, shell(f"sleep 30 & echo $! >{lab.folder}/pid; exit 1"))
            left = int((lab.folder / "pid").read_text())
            async with lab.client() as client:
                await client.end()
            lab.wait_ended()
            return left

        left = lab.run(test())
        assert Path(f"/proc/{left}").exists()
        os.kill(left, signal.SIGKILL)
        failure = read_failure(lab.sup_dir)
        assert failure is not None
        assert failure.step == 0
