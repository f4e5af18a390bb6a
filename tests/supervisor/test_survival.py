"""A task outlives everybody but its own supervisor, and even that leaves the truth behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jail_driver.supervisor import fork_helper
from jail_driver.supervisor.client import alive, read_exit, read_identity
from jail_driver.supervisor.launcher import ForkHelper
from supervisor.lab import BOOT, PATIENCE_S, Lab, children, command, kill, shell, state_of, until

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


class TestSilly:
    """A connection can harm only itself."""

    @pytest.mark.parametrize(
        ("request_line", "answer"),
        [
            (b"nonsense\n", "a request is a JSON object with an 'op'"),
            (b"[1]\n", "a request is a JSON object with an 'op'"),
            (b"{}\n", "a request is a JSON object with an 'op'"),
            (b'{"op": "dance"}\n', "unknown request 'dance'"),
            (b'{"op": "signal"}\n', "unknown signal 'None'"),
            (b'{"op": "signal", "name": ["SIGKILL"]}\n', "unknown signal"),
            (b'{"op": {}}\n', "unknown request {}"),
        ],
    )
    def test_nonsense_is_answered(self, lab: Lab, request_line: bytes, answer: str) -> None:
        """With an error that names it; the connection goes on."""

        async def test() -> None:
            await lab.main(shell("exec sleep 30"))
            reader, writer = await asyncio.open_unix_connection(lab.socket)
            writer.write(request_line + b'{"op": "status"}\n')
            refused, status = json.loads(await reader.readline()), json.loads(await reader.readline())
            assert (refused["version"], refused["ok"]) == (1, False)
            assert answer in refused["error"]
            assert status["phase"] == "running"
            writer.transport.abort()

        lab.run(test())

    def test_an_endless_request_is_cut_off(self, lab: Lab) -> None:
        """It is not collected for ever."""

        async def test() -> None:
            await lab.main(shell("exec sleep 30"))
            reader, writer = await asyncio.open_unix_connection(lab.socket)
            writer.write(b"x" * 200_000)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.transport.abort()
            async with lab.client() as client:
                assert (await client.status()).phase == "running"

        lab.run(test())

    def test_one_that_does_not_read_is_cut_off(self, lab: Lab) -> None:
        """Its answers pile up to a bound; nobody else waits for it."""

        async def test() -> None:
            await lab.main(shell("exec sleep 30"))
            with socket.socket(socket.AF_UNIX) as deaf:
                deaf.setblocking(False)
                deaf.connect(str(lab.socket))
                async with asyncio.timeout(PATIENCE_S), lab.client() as client:
                    while not is_cut_off(deaf):
                        assert (await client.status()).phase == "running"

        def is_cut_off(deaf: socket.socket) -> bool:
            try:
                deaf.send(b'{"op": "status"}\n' * 500)
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            return False

        lab.run(test())


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
