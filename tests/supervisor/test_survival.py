"""A task outlives everybody but its own supervisor, and even that leaves the truth behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jail_driver.supervisor.client import read_exit, read_identity
from supervisor.lab import Lab, children, kill, shell, state_of, until

# Plays the plugin: starts a supervisor, goes as far as it is told, and waits to be killed.
_PLUGIN = """
import asyncio, json, sys
from pathlib import Path
from jail_driver.supervisor.launcher import ForkHelper

async def main():
    folder, stage, order = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    helper = ForkHelper("test:boot")
    launched = await helper.spawn(folder / "sup", folder / "s.sock")
    if stage == "setup":
        going = asyncio.create_task(launched.go(order))
        await asyncio.sleep(0.3)
    elif stage == "running":
        await launched.go(order)
    print(helper.pid, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def plugin(lab: Lab, stage: str, order: dict[str, object]) -> subprocess.Popen[str]:
    """Starts a process that plays the plugin, and waits until it has come as far as ``stage``."""
    argv = [sys.executable, "-c", _PLUGIN, str(lab.folder), stage, json.dumps(order)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Kills the plugin outright."""
    process.kill()
    process.communicate()


class TestPluginKilled:
    """kill -9 of the plugin, at each stage of a start."""

    def test_before_the_order_nothing_is_started(self, lab: Lab) -> None:
        """The supervisor sees the end of file, removes its files and ends; so does the helper."""
        process = plugin(lab, "ready", lab.order(shell(f"touch {lab.folder}/ran")))
        (helper,) = children(process.pid)[:1]
        end(process)
        lab.wait_ended()
        until(lambda: state_of(helper) in {"", "Z"}, "the helper's end")
        assert list(lab.sup_dir.iterdir()) == []
        assert not (lab.folder / "ran").exists()

    def test_during_the_setup_main_is_started_all_the_same(self, lab: Lab) -> None:
        """The order was given: the next plugin finds main running or ended, recorded in either case."""
        order = lab.order(shell("exit 5"), shell("sleep 0.6"))
        end(plugin(lab, "setup", order))
        until((lab.sup_dir / "exit.json").exists, "the exit record")
        lab.wait_ended()
        record = read_exit(lab.sup_dir)
        assert record is not None
        assert record.exit_code == 5

    def test_while_main_runs_nothing_changes(self, lab: Lab) -> None:
        """The same main goes on; a new plugin asks, signals and waits as if it had started it."""
        end(plugin(lab, "running", lab.order(shell("trap 'exit 7' TERM; while :; do sleep 0.05; done"))))

        async def successor() -> None:
            identity = read_identity(lab.sup_dir)
            assert identity is not None
            assert identity.main is not None
            async with lab.client() as client:
                assert (await client.status()).main_pid == identity.main.pid
                assert await client.signal("SIGTERM") == ""
                record = await client.wait_exit()
                assert record is not None
                assert record.exit_code == 7
                await client.wait_gone()

        lab.run(successor())
        lab.wait_ended()

    @pytest.mark.parametrize(
        "environment", [{"A": "\udcff"}, {f"N{n}": "é" * 1000 for n in range(1000)}, None]
    )
    def test_the_next_plugin_gets_the_environment_back(
        self, lab: Lab, environment: dict[str, str] | None
    ) -> None:
        """It is nowhere on disk, and commands beside main need it; a megabyte is no problem."""

        async def test() -> None:
            await lab.main(shell("exec sleep 30"), environment=environment)
            async with lab.client() as client:
                assert await client.environment() == environment
                assert (await client.status()).phase == "running"

        lab.run(test())

    def test_a_task_that_ends_without_a_plugin_leaves_its_status(self, lab: Lab) -> None:
        """The record is read long after supervisor and task are gone."""
        end(plugin(lab, "running", lab.order(shell("sleep 0.3; exit 7"))))
        until((lab.sup_dir / "exit.json").exists, "the exit record")
        lab.wait_ended()
        record = read_exit(lab.sup_dir)
        assert record is not None
        assert (record.exit_code, record.all_gone) == (7, True)
        assert not lab.socket.exists()


class TestSupervisorKilled:
    """kill -9 of the supervisor: nobody can know main's status, and everybody learns that."""

    def test_clients_are_cut_off_and_the_lock_is_free(self, lab: Lab) -> None:
        """Also while main lives: its descriptors do not keep the supervisor "alive"."""

        async def test() -> None:
            main = await lab.main(shell("exec sleep 30"))
            async with lab.client() as client:
                waits = [asyncio.create_task(client.wait_exit()), asyncio.create_task(client.wait_gone())]
                await client.status()
                kill(lab.supervisor)
                done = await asyncio.gather(*waits, return_exceptions=True)
                assert [type(one) for one in done] == [EOFError, EOFError]
                with pytest.raises(EOFError):
                    await client.status()
            lab.wait_ended()
            assert state_of(main.pid) != ""
            assert read_exit(lab.sup_dir) is None
            with pytest.raises(ConnectionRefusedError):
                await lab.client().__aenter__()  # it is the entering that must fail
            kill(main)

        lab.run(test())

    def test_what_it_recorded_before_stays(self, lab: Lab) -> None:
        """Main failed, descendants lived, then the supervisor was killed: the status is main's."""

        async def test() -> None:
            await lab.main(shell("sleep 30 & exit 6"))
            async with lab.client() as client:
                await client.wait_exit()
            left = children(lab.supervisor.pid)
            kill(lab.supervisor)
            for pid in left:
                os.kill(pid, signal.SIGKILL)

        lab.run(test())
        lab.wait_ended()
        record = read_exit(lab.sup_dir)
        assert record is not None
        assert (record.exit_code, record.all_gone) == (6, False)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGPIPE", "SIGALRM"])
def test_no_ordinary_signal_parts_a_supervisor_from_its_task(lab: Lab, name: str) -> None:
    """Neither an operator's kill nor a closing terminal."""

    async def test() -> None:
        await lab.main(shell("exec sleep 30"))
        os.kill(lab.supervisor.pid, signal.Signals[name])
        async with lab.client() as client:
            assert (await client.status()).phase == "running"

    lab.run(test())


def test_the_supervisor_is_out_of_the_plugins_session(lab: Lab) -> None:
    """Signals to the plugin's process group or terminal pass it by."""

    async def test() -> None:
        launched = await lab.spawn()
        assert os.getsid(launched.identity.pid) == launched.identity.pid
        assert Path(f"/proc/{launched.identity.pid}/cwd").readlink() == Path("/")
        launched.abort()

    lab.run(test())
