"""How commands run beside main, and when they end, over the plugin's own socket."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.host.session import Session
from nomad.system import pids, rooted_below
from operate.operating import SLEEP, say, sh, task

pytestmark = rig.needs_root


class TestHowItRuns:
    """As main does: environment, user, directory; and with its own truth about the end."""

    @pytest.mark.parametrize(("text", "code", "signal"), [("exit 7", 7, 0), ("kill -9 $$", 137, 9)])
    def test_exit(self, host: rig.Host, text: str, code: int, signal: int) -> None:
        """The status as it is; a signal as 128+n and n; for both calls."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                said = await say(plugin, spec, *sh(text))
                done = await plugin.client.exec(spec.id, sh(f"echo out; echo err >&2; {text}"), 10)
                assert said.result is not None
                for result in (said.result, done.result):
                    assert result.exit_code == code
                assert (done.stdout, done.stderr, done.result.signal) == (b"out\n", b"err\n", signal)

        asyncio.run(scenario())

    @pytest.mark.parametrize(
        ("program", "code", "words"),
        [
            ("nosuch", 127, "nosuch: not found in the jail's PATH"),
            ("/bin/nosuch", 127, "/bin/nosuch: no such program in the jail"),
            ("/etc/passwd", 126, "/etc/passwd: not an executable file in the jail"),
        ],
    )
    def test_a_missing_program(self, host: rig.Host, program: str, code: int, words: str) -> None:
        """A sentence on stderr, or on the terminal, and the shell's code; never the host's program."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                said = await say(plugin, spec, program)
                shown = await say(plugin, spec, program, tty=True)
                done = await plugin.client.exec(spec.id, (program,), 10)
                assert said.result is not None
                assert shown.result is not None
                assert {said.result.exit_code, shown.result.exit_code, done.result.exit_code} == {code}
                for text in (said.stderr, shown.stdout, done.stderr):
                    assert text.decode().startswith(words)

        asyncio.run(scenario())

    @pytest.mark.parametrize("user", ["", "nobody"])
    def test_environment_user_and_directory(self, host: rig.Host, user: str) -> None:
        """The very environment that main has, secrets included, and nothing of the agent's."""
        env = {
            "NOMAD_TASK_NAME": "web",
            "SECRET": "s3cret\nsecond line",
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
        }
        show = "id -u; pwd; env | sort"

        async def scenario() -> None:
            start = {"Exec_start": f"({show}) > /alloc/main 2>&1; touch /alloc/up; exec sleep 600"}
            spec_alloc = {"env": env, "user": user}
            async with task(host, start, **spec_alloc) as (plugin, spec):
                Path(spec.alloc_dir, "alloc").chmod(0o777)
                main = Path(spec.alloc_dir, "alloc/main")
                if user:
                    said = await say(plugin, spec, *sh(show))
                    assert said.stdout.decode().splitlines()[:2] == ["65534", "/"]
                    assert "SECRET=s3cret" in said.stdout.decode()
                    return
                await rig.until("main has shown itself", Path(spec.alloc_dir, "alloc/up").exists)
                said = await say(plugin, spec, *sh(show))
                assert said.stdout.decode() == main.read_text()
                assert "AGENT_SECRET" not in said.stdout.decode()

        asyncio.run(scenario())

    @pytest.mark.parametrize("user", ["", "nobody"])
    def test_it_starts_where_main_does(self, host: rig.Host, user: str) -> None:
        """In Work_dir, with and without a terminal; a path without a slash at its beginning counts from there."""

        async def scenario() -> None:
            config = {**SLEEP, "Work_dir": "/local/down here"}
            spec = host.spec(config, user=user)
            place = Path(spec.alloc_dir, "web/local/down here")
            place.mkdir()
            (place / "tool").write_text("#!/bin/sh\necho from $(pwd)\n")
            (place / "tool").chmod(0o755)
            before = host.snapshot()
            async with rig.plugin(host) as plugin:
                await plugin.start(spec)
                said = await say(plugin, spec, "pwd")
                shown = await say(plugin, spec, *sh("pwd"), tty=True)
                done = await plugin.client.exec(spec.id, ("./tool",), 10)
                assert said.stdout == b"/local/down here\n"
                assert shown.stdout == b"/local/down here\r\n"
                assert (done.stdout, done.result.exit_code) == (b"from /local/down here\n", 0)
                await plugin.client.destroy(spec.id, force=True)
            host.wait_clean(before)

        asyncio.run(scenario())

    def test_what_is_for_the_dynamic_linker_stays_inside(self, host: rig.Host) -> None:
        """jexec(8) runs on the host as root: a job's LD_PRELOAD reaches the jailed program alone."""
        env = {"LD_PRELOAD": "/local/of the job.so", "LD_BIND_NOW": "1"}
        start = {"Exec_start": "env | grep LD_ | sort > /local/main 2>&1; sleep 600"}

        async def scenario() -> None:
            async with task(host, start, env=env) as (plugin, spec):
                said = await say(plugin, spec, *sh("env | sort"))
                assert [line for line in said.stdout.decode().splitlines() if line.startswith("LD_")] == [
                    "LD_BIND_NOW=1",
                    "LD_PRELOAD=/local/of the job.so",
                ]
                assert "JAIL_TASK_DRIVER" not in said.stdout.decode()
                # The linker complains once for each program that it loads: none of them on the host.
                assert "LD_PRELOAD=/local/of the job.so" in Path(spec.alloc_dir, "web/local/main").read_text()

        asyncio.run(scenario())

    def test_a_time_out_kills(self, host: rig.Host) -> None:
        """ExecTask's time-out ends the command with what it started."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                done = await plugin.client.exec(spec.id, sh("echo begun; sleep 61 & sleep 62"), 0.7)
                assert (done.stdout, done.result.exit_code) == (b"begun\n", 137)
                assert b"longer than 0.7 s" in done.stderr
                await rig.until("nothing but main is left", lambda: len(rooted_below(host.base)) == 1)

        asyncio.run(scenario())

    def test_a_host_without_terminals(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """To a Linux Python on FreeBSD terminals need a module of the kernel: the error names it."""

        def missing() -> tuple[int, int]:
            raise FileNotFoundError(2, "No such file or directory")

        monkeypatch.setattr(os, "openpty", missing)
        with pytest.raises(OSError, match="kldload pty"):
            Session(["/bin/true"], {}, tmp_path / "record", tty=True)

    def test_arguments_that_no_command_can_have(self, host: rig.Host) -> None:
        """NUL and too much text are refused with a sentence about them, not about the driver's own helper."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                for argument, words in (
                    ("a\0b", "holds a NUL character"),
                    ("x" * 200_000, "Argument list too long"),
                ):
                    with pytest.raises(PluginError, match=words) as done:
                        await plugin.client.exec(spec.id, ("echo", argument), 5)
                    with pytest.raises(PluginError, match=words) as said:
                        await say(plugin, spec, "echo", argument, close=False)
                    assert "python" not in f"{done.value}{said.value}"
                many = await plugin.client.exec(spec.id, ("sh", "-c", "echo $#", "sh", *["a"] * 20_000), -1)
                assert many.stdout == b"20000\n"

        asyncio.run(scenario())

    def test_no_task_no_command(self, host: rig.Host) -> None:
        """An unknown task, an ended one and an empty command are refused with a sentence."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                with pytest.raises(PluginError, match="no command"):
                    await plugin.client.exec(spec.id, (), 5)
                with pytest.raises(PluginError, match="no task"):
                    await plugin.client.exec("nobody", ("true",), 5)
                await plugin.client.stop(spec.id, timeout_s=5)
                with pytest.raises(PluginError, match="that is stopped"):
                    await say(plugin, spec, "true", close=False)

        asyncio.run(scenario())


class TestEnds:
    """No command outlives who asked for it."""

    @pytest.mark.parametrize("streams", ["pipes", "terminal"])
    def test_the_client_is_gone(self, host: rig.Host, streams: str) -> None:
        """The command is ended; one that ignores the hang-up is killed."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                script = "trap '' HUP; echo $$; while :; do sleep 0.1; done"
                session = await plugin.client.exec_streaming(spec.id, sh(script), tty=streams == "terminal")
                async for _name, data in session.outputs():
                    pid = int(data)
                    break
                await rig.until("the command is gone", lambda: pid not in pids())
                assert len(rooted_below(host.base)) == 1

        asyncio.run(scenario())

    @pytest.mark.parametrize("streams", ["pipes", "terminal"])
    def test_the_plugin_is_killed(self, host: rig.Host, streams: str) -> None:
        """The next plugin ends what nobody hears any more, and runs commands with the same environment."""

        async def scenario() -> None:
            before = host.snapshot()
            spec = host.spec(SLEEP, env={"SECRET": "s3cret"})
            first = await rig.launch(host)
            started = await first.start(spec)
            session = await first.client.exec_streaming(
                spec.id, sh("trap '' HUP; echo $$; while :; do sleep 0.1; done"), tty=streams == "terminal"
            )
            async for _name, data in session.outputs():
                pid = int(data)
                break
            await first.kill()
            async with rig.plugin(host) as second:
                await second.client.recover(started.handle)
                await rig.until("the orphan is gone", lambda: pid not in pids())
                done = await second.client.exec(spec.id, sh("echo $SECRET"), 10)
                assert done.stdout == b"s3cret\n"
                await second.client.destroy(spec.id, force=True)
            host.wait_clean(before)

        asyncio.run(scenario())

    def test_the_task_ends(self, host: rig.Host) -> None:
        """A stop ends the commands beside main too, and they do not delay it."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                session = await plugin.client.exec_streaming(
                    spec.id, sh("echo up; exec sleep 300"), tty=False
                )
                async for _name, _data in session.outputs():
                    hearing = asyncio.create_task(plugin.client.stop(spec.id, timeout_s=5))
                await asyncio.wait_for(hearing, 20)
                assert session.result is not None
                assert session.result.exit_code == 137

        asyncio.run(scenario())
