"""Nothing runs before it is ordered and written down."""

from __future__ import annotations

import asyncio
import json

import pytest

from jail_driver.supervisor import records
from jail_driver.supervisor.client import alive, read_exit, read_failure, read_identity
from jail_driver.supervisor.errors import SupervisorError, SupervisorLostError, SupervisorStartError
from jail_driver.supervisor.procid import ProcessId, process_id, same_process
from supervisor.lab import BOOT, Lab, command, kill, shell, until, until_status


class TestReady:
    """Before the order."""

    def test_the_identity_is_on_disk_before_ready_is_said(self, lab: Lab) -> None:
        """A plugin that dies right after "ready" leaves a supervisor that its successor can name."""

        async def test() -> None:
            launched = await lab.spawn()
            identity = read_identity(lab.sup_dir)
            assert identity == records.Identity(launched.identity, None, None)
            assert launched.identity.boot_id == BOOT
            seen = process_id(launched.identity.pid, BOOT)
            assert seen is not None
            assert same_process(seen, launched.identity)
            assert alive(lab.sup_dir)
            launched.abort()

        lab.run(test())
        lab.wait_ended()

    def test_a_supervisor_without_an_order_removes_its_files_and_ends(self, lab: Lab) -> None:
        """End of file on the go channel means: exit, start nothing, leave nothing."""

        async def test() -> None:
            launched = await lab.spawn()
            launched.abort()

        lab.run(test())
        lab.wait_ended()
        until(lambda: list(lab.sup_dir.iterdir()) == [], "an empty directory")
        assert not lab.socket.exists()

    def test_half_an_order_is_none(self, lab: Lab) -> None:
        """A plugin killed while it writes its order has ordered nothing."""

        async def test() -> None:
            launched = await lab.spawn()
            payload = json.dumps(lab.order(shell(f"touch {lab.folder}/ran"))).encode()
            launched._writer.write(len(payload).to_bytes(4, "big") + payload[:-1])
            await launched._writer.drain()
            launched._writer.close()

        lab.run(test())
        lab.wait_ended()
        assert not (lab.folder / "ran").exists()
        assert read_exit(lab.sup_dir) is None

    def test_it_answers_on_its_socket_while_it_waits(self, lab: Lab) -> None:
        """Who finds it before its order learns that it waits; there is no main to signal."""

        async def test() -> None:
            launched = await lab.spawn()
            async with lab.client() as client:
                status = await client.status()
                assert (status.phase, status.main_pid, status.started) == ("waiting", None, False)
                assert await client.signal("SIGTERM") == "main does not run: it was not started"
            launched.abort()

        lab.run(test())

    def test_one_directory_has_one_supervisor(self, lab: Lab) -> None:
        """The lock decides, whoever asks."""

        async def test() -> None:
            launched = await lab.spawn()
            with pytest.raises(SupervisorError, match="another supervisor lives in"):
                await lab.helper.spawn(lab.sup_dir, lab.folder / "other.sock")
            launched.abort()

        lab.run(test())

    def test_a_task_is_started_once(self, lab: Lab) -> None:
        """Records of a main refuse a second supervisor: at most one main ever runs for a task."""

        async def test() -> None:
            await lab.main(command("/bin/true"))
            lab.wait_ended()
            with pytest.raises(SupervisorError, match="started before"):
                await lab.spawn()

        lab.run(test())
        assert read_exit(lab.sup_dir) is not None

    def test_a_predecessor_that_was_killed_before_its_order_is_replaced(self, lab: Lab) -> None:
        """It started nothing; its left-over socket and identity do not stand in the way."""

        async def test() -> None:
            first = await lab.spawn()
            kill(first.identity)
            first.abort()
            lab.wait_ended()
            assert lab.socket.exists()
            main = await lab.main(command("/bin/true"))
            assert read_identity(lab.sup_dir) == records.Identity(lab.supervisor, main, None)

        lab.run(test())

    def test_a_long_socket_path_is_refused_by_name(self, lab: Lab) -> None:
        """sun_path is short; the limit is said before anything is forked."""

        async def test() -> None:
            with pytest.raises(SupervisorError, match="longer than 100 bytes"):
                await lab.helper.spawn(lab.sup_dir, lab.folder / ("x" * 100))
            assert lab.helper.pid is None

        lab.run(test())


class TestMain:
    """From the order to a running main."""

    def test_main_is_recorded_before_it_is_executed(self, lab: Lab) -> None:
        """The first thing that main can see is its own pid in the record."""

        async def test() -> ProcessId:
            return await lab.main(
                shell(f"cat {lab.sup_dir}/identity.json >{lab.folder}/seen; echo $$ >>{lab.folder}/seen")
            )

        main = lab.run(test())
        lab.wait_ended()
        record, pid = (lab.folder / "seen").read_text().splitlines()
        assert json.loads(record)["main"] == {
            "pid": main.pid,
            "started_ticks": main.started_ticks,
            "exit": None,
        }
        assert int(pid) == main.pid

    def test_a_main_that_ends_at_once_was_started(self, lab: Lab) -> None:
        """However fast it is, "started" comes first and its status is kept."""

        async def test() -> ProcessId:
            return await lab.main(shell("exit 3"))

        main = lab.run(test())
        lab.wait_ended()
        ended = read_exit(lab.sup_dir)
        assert ended is not None
        assert (ended.exit_code, ended.signal, ended.main_pid, ended.all_gone) == (3, 0, main.pid, True)

    @pytest.mark.parametrize(
        ("main", "sentence"),
        [
            (command("/no/such/program"), "/no/such/program cannot be executed: No such file or directory"),
            (command("/etc/passwd"), "/etc/passwd cannot be executed: Permission denied"),
            (
                command("/bin/true", cwd="/no/such"),
                "/bin/true cannot change to its working directory: No such file",
            ),
            (command("bin/true"), "the program must be an absolute path"),
            (command("/bin/echo", "a\0b"), "a NUL cannot be passed"),
            (command("/bin/true", env={"A=B": "x"}), "holds '='"),
            (command("/bin/true", env={"A": "\ud800"}), "surrogates not allowed"),
            ({"argv": []}, "the program must be an absolute path"),
            ({"argv": ["/bin/true"]}, "'env'"),
        ],
    )
    def test_a_main_that_cannot_run_is_a_failed_start(
        self, lab: Lab, main: dict[str, object], sentence: str
    ) -> None:
        """One sentence says why; nobody reads the failure as main's exit status."""

        async def test() -> SupervisorStartError:
            with pytest.raises(SupervisorStartError) as caught:
                await lab.main(main, command("/bin/true"))
            return caught.value

        error = lab.run(test())
        assert sentence in str(error)
        assert error.step == 1
        lab.wait_ended()
        assert read_exit(lab.sup_dir) is None
        failure = read_failure(lab.sup_dir)
        assert failure is not None
        assert failure.error == str(error)

    def test_a_task_without_main_starts(self, lab: Lab) -> None:
        """Persistence alone is enough."""

        async def test() -> None:
            assert await lab.start(None, persist=True) is None
            async with lab.client() as client:
                status = await client.status()
                assert (status.phase, status.started, status.persist) == ("running", True, True)
                await client.end()
                await client.wait_gone()

        lab.run(test())
        ended = read_exit(lab.sup_dir)
        assert ended is not None
        assert (ended.exit_code, ended.main_pid, ended.all_gone) == (0, None, True)

    def test_a_supervisor_killed_during_the_start_is_noticed(self, lab: Lab) -> None:
        """The caller learns that nobody knows; the records say that main never ran."""

        async def test() -> None:
            launched = await lab.spawn()
            going = asyncio.create_task(launched.go(lab.order(command("/bin/true"), shell("sleep 30"))))
            async with lab.client() as client:
                await until_status(client, lambda status: status.phase == "setup", "the setup begins")
            kill(launched.identity)
            with pytest.raises(SupervisorLostError):
                await going

        lab.run(test())
        identity = read_identity(lab.sup_dir)
        assert identity is not None
        assert identity.main is None
