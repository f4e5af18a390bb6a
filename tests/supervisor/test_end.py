"""How a task ends, and who learns of it when."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from jail_driver.supervisor.client import SupervisorClient, alive, read_exit, read_failure, read_identity
from jail_driver.supervisor.records import ExitRecord
from supervisor.lab import Lab, children, command, kill, shell, state_of, until, until_status


def ended(lab: Lab) -> ExitRecord:
    """Waits for the supervisor's end and reads what it recorded."""
    lab.wait_ended()
    record = read_exit(lab.sup_dir)
    assert record is not None
    assert record.all_gone
    return record


class TestStatus:
    """Main's wait status is kept exactly."""

    @pytest.mark.parametrize(
        ("script", "exit_code", "killed_by"),
        [
            ("exit 0", 0, 0),
            ("exit 7", 7, 0),
            ("exit 255", 255, 0),
            ("kill -KILL $$", 0, signal.SIGKILL),
            ("kill -SEGV $$", 0, signal.SIGSEGV),
        ],
    )
    def test_it_is_exact(self, lab: Lab, script: str, exit_code: int, killed_by: int) -> None:
        """An exit code is not a signal, and a signal is not 128 plus something."""

        async def test() -> None:
            await lab.main(shell(script))

        before = time.time_ns()
        lab.run(test())
        record = ended(lab)
        assert (record.exit_code, record.signal) == (exit_code, killed_by)
        assert before <= record.ended_at_ns <= time.time_ns()
        assert read_failure(lab.sup_dir) is None

    def test_it_is_on_disk_before_a_watcher_is_told(self, lab: Lab) -> None:
        """Whoever hears of the exit finds the same record."""

        async def test() -> None:
            await lab.main(shell("sleep 30 & exit 9"))
            async with lab.client() as client:
                told = await client.wait_exit()
                assert told == read_exit(lab.sup_dir)
                assert told is not None
                assert not told.all_gone
                assert (await client.status()).exit == told

        lab.run(test())


class TestDescendants:
    """A task is more than its main."""

    def test_a_daemon_keeps_the_task_alive(self, lab: Lab) -> None:
        """Main ends with 0 and leaves a daemon in a session of its own: the task ends with the daemon."""

        async def test() -> None:
            main = await lab.main(shell(f"setsid sleep 30 & echo $! >{lab.folder}/pid"))
            until(lambda: state_of(main.pid) == "", "main's end")
            async with lab.client() as client:
                watched = asyncio.create_task(client.wait_exit())
                await asyncio.sleep(0.1)
                assert not watched.done()
                status = await client.status()
                assert status.exit is None
                assert status.exited is not None
                assert status.exited.exit_code == 0
                (daemon,) = children(lab.supervisor.pid)
                os.kill(daemon, signal.SIGTERM)
                record = await watched
                assert record is not None
                assert (record.exit_code, record.signal, record.all_gone) == (0, 0, True)

        lab.run(test())
        assert ended(lab).ended_at_ns > 0

    def test_main_that_ended_well_is_noted_for_the_next_plugin(self, lab: Lab) -> None:
        """If the supervisor is killed later, main's own status is still known."""

        async def test() -> None:
            await lab.main(shell("sleep 30 &"))
            async with lab.client() as client:
                await until_status(client, lambda status: status.main_exit, "main's end is noted")
            left = children(lab.supervisor.pid)
            kill(lab.supervisor)
            for pid in left:
                os.kill(pid, signal.SIGKILL)

        lab.run(test())
        lab.wait_ended()
        identity = read_identity(lab.sup_dir)
        assert identity is not None
        assert identity.main_exit is not None
        assert (identity.main_exit.exit_code, identity.main_exit.signal) == (0, 0)
        assert read_exit(lab.sup_dir) is None

    def test_a_failing_main_ends_the_task_at_once(self, lab: Lab) -> None:
        """The record comes while others still live; "gone" comes when they do not."""

        async def test() -> ExitRecord | None:
            await lab.main(shell("sleep 30 & exec 1>&-; exit 7"))
            async with lab.client() as client:
                record = await client.wait_exit()
                assert record is not None
                assert (record.exit_code, record.all_gone) == (7, False)
                gone = asyncio.create_task(client.wait_gone())
                await asyncio.sleep(0.1)
                assert not gone.done()
                for pid in children(lab.supervisor.pid):
                    os.kill(pid, signal.SIGKILL)
                await gone
                return record

        first = lab.run(test())
        last = ended(lab)
        assert first is not None
        assert (last.exit_code, last.ended_at_ns) == (first.exit_code, first.ended_at_ns)

    def test_orphans_are_reaped(self, lab: Lab) -> None:
        """However deep they were born, no zombie stays while the task lives."""

        async def test() -> None:
            lab.read_from(lab.stdout)
            deep = (
                "for n in 1 2 3; do sh -c 'sh -c \"sleep 0.1; exit 5\" & exit 0' & done; wait; exec sleep 30"
            )
            main = await lab.main(shell(deep))
            until(lambda: children(lab.supervisor.pid) == [main.pid], "main alone")
            kill(main)

        lab.run(test())
        assert ended(lab).signal == signal.SIGKILL


class TestPersist:
    """A task that lives until it is told to end."""

    def test_a_main_that_ends_well_does_not_end_it(self, lab: Lab) -> None:
        """Nor does the end of its last process; "end" does, with main's status."""

        async def test() -> None:
            await lab.main(command("/bin/true"), persist=True)
            async with lab.client() as client:
                await until_status(client, lambda status: status.main_exit, "main's end is noted")
                watched = asyncio.create_task(client.wait_exit())
                await asyncio.sleep(0.1)
                assert not watched.done()
                assert alive(lab.sup_dir)
                await client.end()
                assert await watched is not None
                await client.wait_gone()

        lab.run(test())
        assert ended(lab).exit_code == 0

    def test_a_failing_main_ends_it(self, lab: Lab) -> None:
        """Persistence is for success."""

        async def test() -> None:
            await lab.main(shell("exit 2"), persist=True)

        lab.run(test())
        assert ended(lab).exit_code == 2

    def test_end_before_main_ends_only_stops_the_holding(self, lab: Lab) -> None:
        """Main goes on, and its end is the task's."""

        async def test() -> None:
            main = await lab.main(shell("exec sleep 30"), persist=True)
            async with lab.client() as client:
                await client.end()
                assert not (await client.status()).persist
                assert state_of(main.pid) in {"R", "S"}
                assert await client.signal("TERM") == ""
                await client.wait_gone()

        lab.run(test())
        assert ended(lab).signal == signal.SIGTERM


class TestSignal:
    """The supervisor alone signals main."""

    def test_a_signal_reaches_main_and_nobody_else(self, lab: Lab) -> None:
        """Not its group: what else to signal is the caller's decision."""

        async def test() -> None:
            script = f"sleep 30 & echo $! >{lab.folder}/pid; trap 'echo caught' USR1; while :; do wait; done"
            lab.read_from(lab.stdout)
            await lab.main(shell(script))
            until(lambda: (lab.folder / "pid").exists() and (lab.folder / "pid").read_text(), "the child")
            async with lab.client() as client:
                assert await client.signal("SIGUSR1") == ""
                until(lambda: lab.taken(lab.stdout) == b"caught\n", "the trap")
                assert state_of(int((lab.folder / "pid").read_text())) in {"R", "S"}
                assert await client.signal("SIGKILL") == ""
                record = await client.wait_exit()
                assert record is not None
                assert record.signal == signal.SIGKILL

        lab.run(test())

    @pytest.mark.parametrize("name", ["SIGFOO", "", "15", "SIG_DFL", "__class__"])
    def test_an_unknown_name_is_refused_by_name(self, lab: Lab, name: str) -> None:
        """Never a guess."""

        async def test() -> None:
            await lab.main(shell("exec sleep 30"))
            async with lab.client() as client:
                assert await client.signal(name) == f"unknown signal {name!r}"
                assert (await client.status()).exit is None

        lab.run(test())

    def test_an_ended_main_is_not_signalled(self, lab: Lab) -> None:
        """Its pid may be anybody's by now; the answer says so."""

        async def test() -> None:
            main = await lab.main(shell("sleep 30 & exit 1"))
            async with lab.client() as client:
                await client.wait_exit()
                assert await client.signal("SIGKILL") == f"main (pid {main.pid}) has already ended"

        lab.run(test())

    def test_a_stopped_main_has_not_ended(self, lab: Lab) -> None:
        """SIGSTOP is not an end, and SIGKILL still works."""

        async def test() -> None:
            main = await lab.main(shell("exec sleep 30"))
            async with lab.client() as client:
                assert await client.signal("SIGSTOP") == ""
                until(lambda: state_of(main.pid) == "T", "main stopped")
                assert (await client.status()).exit is None
                assert await client.signal("SIGKILL") == ""
                await client.wait_gone()

        lab.run(test())
        assert ended(lab).signal == signal.SIGKILL


def test_many_watchers_are_told(lab: Lab) -> None:
    """Each connection is served, however many there are."""

    async def test() -> None:
        main = await lab.main(shell("exec sleep 30"))
        clients = [SupervisorClient(lab.socket) for _ in range(40)]
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(_watch(client)) for client in clients]
            await asyncio.sleep(0.1)
            kill(main)
        assert {wait.result() for wait in waits} == {signal.SIGKILL}

    async def _watch(client: SupervisorClient) -> int:
        async with client:
            record = await client.wait_exit()
            await client.wait_gone()
        assert record is not None
        return record.signal

    lab.run(test())
