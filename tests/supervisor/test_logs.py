"""The task's output reaches Nomad's FIFOs, whoever reads them or does not."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from jail_driver.supervisor.client import read_exit
from jail_driver.supervisor.errors import SupervisorStartError
from supervisor.lab import Lab, command, kill, shell, state_of, until

_FIFO_BYTES = 65536


class TestFifo:
    """Straight through the FIFO."""

    def test_the_two_streams_are_separate(self, lab: Lab) -> None:
        """Each to its own."""

        async def test() -> None:
            lab.read_from(lab.stdout)
            lab.read_from(lab.stderr)
            await lab.main(shell("echo out; echo err >&2"))

        lab.run(test())
        lab.wait_ended()
        assert lab.taken(lab.stdout) == b"out\n"
        assert lab.taken(lab.stderr) == b"err\n"

    def test_without_a_reader_main_lives_and_nothing_is_lost(self, lab: Lab) -> None:
        """No SIGPIPE: what fits waits in the FIFO until a reader comes."""

        async def test() -> None:
            main = await lab.main(shell("echo one; sleep 0.2; echo two; exec sleep 30"))
            await asyncio.sleep(0.5)
            assert state_of(main.pid) == "S"
            lab.read_from(lab.stdout)
            assert lab.taken(lab.stdout) == b"one\ntwo\n"

        lab.run(test())

    def test_a_reader_that_goes_and_comes_again_misses_nothing(self, lab: Lab) -> None:
        """Nomad's log collector may be restarted under a running task."""

        async def test() -> None:
            lab.read_from(lab.stdout)
            await lab.main(
                shell(
                    f"echo one; while [ ! -e {lab.folder}/go ]; do sleep 0.01; done; echo two; exec sleep 30"
                )
            )
            until(lambda: lab.taken(lab.stdout) == b"one\n", "the first line")
            os.close(lab._readers.pop(lab.stdout))
            (lab.folder / "go").touch()
            await asyncio.sleep(0.2)
            lab.read_from(lab.stdout)
            until(lambda: lab.taken(lab.stdout) == b"two\n", "the second line")

        lab.run(test())

    def test_a_full_one_stops_main_and_does_not_kill_it(self, lab: Lab) -> None:
        """It blocks, as a pipe does, and goes on when somebody reads."""

        async def test() -> None:
            await lab.main(shell("head -c 200000 /dev/zero && exit 3"))
            await asyncio.sleep(0.3)
            assert read_exit(lab.sup_dir) is None
            lab.read_from(lab.stdout)
            total = 0
            async with lab.client() as client:
                ended = asyncio.create_task(client.wait_exit())
                while not ended.done():
                    total += len(lab.taken(lab.stdout))
                    await asyncio.sleep(0.01)
                total += len(lab.taken(lab.stdout))
                record = await ended
            assert record is not None
            assert (record.exit_code, total) == (3, 200000)

        lab.run(test())

    def test_the_reader_sees_the_end_with_the_last_process(self, lab: Lab) -> None:
        """Not before, though main has closed its descriptors long ago."""
        reader = -1

        async def test() -> None:
            nonlocal reader
            main = await lab.main(shell("exec >/dev/null 2>&1; exec sleep 30"))
            reader = os.open(lab.stdout, os.O_RDONLY | os.O_NONBLOCK)
            await asyncio.sleep(0.1)
            with pytest.raises(BlockingIOError):
                os.read(reader, 1)
            kill(main)

        try:
            lab.run(test())
            lab.wait_ended()
            assert os.read(reader, 1) == b""
        finally:
            os.close(reader)

    def test_devices_and_plain_files_will_do(self, lab: Lab) -> None:
        """/dev/null when Nomad collects no logs; files are appended to."""
        output = lab.folder / "plain"
        output.write_bytes(b"before\n")

        async def test() -> None:
            await lab.main(shell("echo out; echo err >&2"), stdout=output, stderr=os.devnull)

        lab.run(test())
        lab.wait_ended()
        assert output.read_bytes() == b"before\nout\n"


class TestRefused:
    """What cannot be opened is one sentence, and starts nothing."""

    def failure(self, lab: Lab, **fields: object) -> str:
        """Starts a task that cannot start; returns why."""

        async def test() -> str:
            with pytest.raises(SupervisorStartError) as caught:
                await lab.start(shell(f"touch {lab.folder}/ran"), **fields)
            assert (caught.value.step, caught.value.reason) == (None, "log")
            return str(caught.value)

        sentence = lab.run(test())
        lab.wait_ended()
        assert not (lab.folder / "ran").exists()
        return sentence

    def test_a_missing_one(self, lab: Lab) -> None:
        """By its path."""
        assert (
            self.failure(lab, stdout="/no/fifo") == "cannot open the log /no/fifo: No such file or directory"
        )

    def test_a_symlink(self, lab: Lab) -> None:
        """The task can write to the log directory: it must not point us at a file of the host's."""
        target, link = lab.folder / "target", lab.folder / "link"
        target.touch()
        link.symlink_to(target)
        assert "cannot open the log" in self.failure(lab, stderr=link)
        assert target.read_bytes() == b""

    def test_a_console_log_that_is_a_fifo_without_reader(self, lab: Lab) -> None:
        """Opening it must not hang the supervisor."""
        os.mkfifo(lab.folder / "trap")
        assert "cannot open the log" in self.failure(lab, consolelog=str(lab.folder / "trap"))

    def test_a_console_log_that_is_a_symlink(self, lab: Lab) -> None:
        """As for the FIFOs."""
        (lab.folder / "link").symlink_to(lab.folder / "target")
        assert "cannot open the log" in self.failure(lab, consolelog=str(lab.folder / "link"))
        assert not (lab.folder / "target").exists()


class TestConsoleLog:
    """The output goes to Nomad and to a file on the host."""

    def console(self, lab: Lab) -> Path:
        """Where the tests put it."""
        return lab.folder / "console.log"

    def test_both_get_everything(self, lab: Lab) -> None:
        """Of both streams, of setup commands and of main; the file is private and is appended to."""
        self.console(lab).write_bytes(b"before\n")
        self.console(lab).chmod(0o600)

        async def test() -> None:
            lab.read_from(lab.stdout)
            lab.read_from(lab.stderr)
            script = "echo out; echo err >&2; exit 4"
            await lab.main(shell(script), shell("echo setup"), consolelog=str(self.console(lab)))

        lab.run(test())
        lab.wait_ended()
        assert lab.taken(lab.stdout) == b"setup\nout\n"
        assert lab.taken(lab.stderr) == b"err\n"
        assert sorted(self.console(lab).read_bytes().splitlines()) == [b"before", b"err", b"out", b"setup"]

    def test_a_new_one_is_private(self, lab: Lab) -> None:
        """Mode 0600, whatever the plugin's umask."""

        async def test() -> None:
            await lab.main(command("/bin/true"), consolelog=str(self.console(lab)))

        lab.run(test())
        lab.wait_ended()
        assert stat.S_IMODE(self.console(lab).stat().st_mode) == 0o600

    def test_a_full_fifo_holds_the_task_back_and_loses_nothing(self, lab: Lab) -> None:
        """The supervisor goes on answering meanwhile."""

        async def test() -> None:
            size = 400_000
            await lab.main(
                shell(f"head -c {size} /dev/zero | tr '\\0' x; exit 3"), consolelog=str(self.console(lab))
            )
            await asyncio.sleep(0.4)
            async with lab.client() as client:
                assert (await client.status()).phase == "running"
                assert read_exit(lab.sup_dir) is None
                lab.read_from(lab.stdout)
                gone = asyncio.create_task(client.wait_gone())
                received = b""
                while not gone.done():
                    received += lab.taken(lab.stdout)
                    await asyncio.sleep(0.005)
                received += lab.taken(lab.stdout)
            assert received == b"x" * size
            assert self.console(lab).read_bytes() == received

        lab.run(test())
        lab.wait_ended()

    def test_what_nobody_reads_does_not_hold_the_end_back(self, lab: Lab) -> None:
        """After a short while the rest is given up: the console log has it."""
        size = _FIFO_BYTES + 30_000

        async def test() -> None:
            # In pieces, so that much of it is still in the pipe when the FIFO is full.
            script = f"head -c {size} /dev/zero | dd bs=1000 2>/dev/null"
            await lab.main(shell(script), consolelog=str(self.console(lab)))
            async with lab.client() as client:
                record = await client.wait_exit()
                assert record is not None
                assert record.exit_code == 0
                await client.wait_gone()

        lab.run(test())
        lab.wait_ended()
        assert self.console(lab).stat().st_size == size

    def test_a_daemon_that_keeps_the_pipe_is_copied_too(self, lab: Lab) -> None:
        """Until it ends, which is when the task does."""

        async def test() -> None:
            lab.read_from(lab.stdout)
            await lab.main(shell("(sleep 0.3; echo late) & exit 0"), consolelog=str(self.console(lab)))

        lab.run(test())
        lab.wait_ended()
        assert lab.taken(lab.stdout) == b"late\n"
        assert self.console(lab).read_bytes() == b"late\n"
