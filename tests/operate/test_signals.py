"""SignalTask, and the kill_signal of StopTask."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.engine import signals
from jail_driver.errors import ConfigError
from operate.operating import task

ON_LINUX = sorted(signals.NAMES & set(signal.Signals.__members__) - {"SIGKILL", "SIGSTOP"})


ALL = (
    "HUP INT QUIT ILL TRAP ABRT EMT FPE KILL BUS SEGV SYS PIPE ALRM TERM URG STOP TSTP CONT CHLD TTIN TTOU IO"
    " XCPU XFSZ VTALRM PROF WINCH INFO USR1 USR2 THR LIBRT"
)
"""``kill -l`` of FreeBSD, and the two of sys/signal.h that have no name there."""
FREEBSD = ALL.split()


@pytest.mark.parametrize("name", [*FREEBSD, *(f"SIG{name}" for name in FREEBSD), "hup", "info", "Usr1"])
def test_every_name_of_freebsd_is_known(name: str) -> None:
    """With SIG or without, in any case."""
    assert signals.canonical(name) == f"SIG{name.upper().removeprefix('SIG')}"


@pytest.mark.parametrize("name", ["SIGFOO", "", "SIG", "9", "SIGPWR", "TERM;", "SIGSTKFLT", "-9"])
def test_what_freebsd_does_not_have_is_refused_by_name(name: str) -> None:
    """The names that exist are listed."""
    with pytest.raises(ConfigError, match=f'^"{name}": no such signal.*SIGUSR2'):
        signals.canonical(name)


@rig.needs_root
class TestLive:
    """Signals reach main, and tell the truth where they do not."""

    def test_main_gets_each(self, host: rig.Host) -> None:
        """Every one that can be caught arrives, in the order sent."""

        async def scenario() -> None:
            traps = "; ".join(f"trap 'echo {name} >> /local/got' {name[3:]}" for name in ON_LINUX)
            start = f"{traps}; touch /local/up; while :; do sleep 0.05; done"
            async with task(host, {"Exec_start": start}) as (plugin, spec):
                local = Path(spec.alloc_dir, "web/local")
                await rig.until("main is ready", (local / "up").exists)
                for name in ON_LINUX:
                    await plugin.client.signal(spec.id, name)
                    await rig.until(f"{name} arrived", lambda n=name: n in _lines(local / "got"))  # type: ignore[misc]
                own = "SIGCHLD"  # its children's ends bring it too
                got = [line for line in _lines(local / "got") if line != own]
                assert got == [name for name in ON_LINUX if name != own]
                sent = [one.event.signal for one in host.history(spec.id) if one.event.name == "signal-sent"]  # type: ignore[attr-defined]
                assert sent == ON_LINUX

        asyncio.run(scenario())

    def test_a_task_can_be_stopped_and_continued(self, host: rig.Host) -> None:
        """SIGSTOP halts main, SIGCONT lets it go on; neither ends it."""

        async def scenario() -> None:
            async with task(host, {"Exec_start": "while :; do date >> /local/beats; sleep 0.05; done"}) as (
                plugin,
                spec,
            ):
                beats = Path(spec.alloc_dir, "web/local/beats")
                await rig.until("it beats", lambda: len(_lines(beats)) > 2)
                await plugin.client.signal(spec.id, "SIGSTOP")
                await asyncio.sleep(0.3)  # a date that is under way may end
                halted = len(_lines(beats))
                await asyncio.sleep(0.5)
                assert len(_lines(beats)) == halted
                await plugin.client.signal(spec.id, "SIGCONT")
                await rig.until("it goes on", lambda: len(_lines(beats)) > halted + 2)
                assert host.task(spec.id).exit is None

        asyncio.run(scenario())

    def test_refusals(self, host: rig.Host) -> None:
        """An unknown name, one that this host lacks, a task that does not run: each with its reason."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                with pytest.raises(PluginError, match='"SIGFOO": no such signal'):
                    await plugin.client.signal(spec.id, "SIGFOO")
                with pytest.raises(PluginError, match="SIGINFO: this host cannot send it"):
                    await plugin.client.signal(spec.id, "SIGINFO")
                await plugin.client.stop(spec.id, timeout_s=5)
                with pytest.raises(PluginError, match="cannot signal a task that is stopped"):
                    await plugin.client.signal(spec.id, "SIGHUP")
                assert host.task(spec.id).exit is not None

        asyncio.run(scenario())

    def test_a_daemon_gets_it_where_main_has_ended(self, host: rig.Host) -> None:
        """Main's exit 0 left a daemon behind: the signal goes to what runs in the jail."""

        async def scenario() -> None:
            daemon = "trap 'touch /local/got' USR1; touch /local/up; while :; do sleep 0.05; done"
            async with task(host, {"Exec_start": f"({daemon}) & exit 0", "Mount_devfs": True}) as (
                plugin,
                spec,
            ):
                local = Path(spec.alloc_dir, "web/local")
                await rig.until("the daemon is ready", (local / "up").exists)
                await asyncio.sleep(0.3)
                await plugin.client.signal(spec.id, "SIGUSR1")
                await rig.until("it arrived", (local / "got").exists)

        asyncio.run(scenario())

    @pytest.mark.parametrize(
        ("name", "ends_by"), [("SIGUSR1", 10), ("usr1", 10), ("SIGFOO", 15), ("SIGINFO", 9)]
    )
    def test_kill_signal(self, host: rig.Host, name: str, ends_by: int) -> None:
        """Any case; an unknown one is told and replaced; one that this host lacks ends with kill_timeout."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                events = plugin.client.events()
                await asyncio.wait_for(plugin.client.stop(spec.id, timeout_s=1, signal=name), 20)
                result = await plugin.client.wait(spec.id)
                assert result.signal == ends_by
                if name == "SIGFOO":
                    async with asyncio.timeout(10):
                        while 'kill_signal = "SIGFOO": no such signal' not in (await anext(events)).message:
                            pass

        asyncio.run(scenario())


class FakeRunner:
    """Notes what is run."""

    def __init__(self) -> None:
        self.argv: list[Sequence[str]] = []

    async def run(self, argv: Sequence[str], **_options: Any) -> Any:
        """Succeeds."""
        self.argv.append(argv)
        return type("Done", (), {"ok": True})()


def test_a_signal_that_only_freebsd_can_send_finds_main_by_jail_and_pid(tmp_path: Path) -> None:
    """The command line of pkill(1): its name, the jail, and a file with main's pid."""
    runner = FakeRunner()
    parts: Any = type("Any", (), {})
    actor = parts()
    actor.context, actor.context.directory = parts(), parts()
    actor.context.directory.locks = tmp_path / "locks"
    actor.runtime, actor.runtime.tools = parts(), parts()
    actor.runtime.tools.pkill, actor.runtime.runner = "/bin/pkill", runner
    asyncio.run(signals._to_main(actor, "SIGINFO", 7, 4711))
    asyncio.run(signals._to_main(actor, "SIGTHR", 7, 4711))
    note = tmp_path / "locks/main.pid"
    assert runner.argv == [["/bin/pkill", flag, "-j", "7", "-F", str(note)] for flag in ("-INFO", "-32")]
    assert note.read_text() == "4711\n"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
