"""Limits that bite, and what is told of it: processes over a real plugin, on the stand-ins."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import ExitResult, Resources
from jail_state.core.events import NoticeGiven, TeardownBegan

pytestmark = rig.needs_root
MEMORY = Path("/sys/fs/cgroup/memory/cgroup.procs").exists() or "memory" in (
    Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    if Path("/sys/fs/cgroup/cgroup.controllers").exists()
    else ()
)
needs_memory = pytest.mark.skipif(
    not (MEMORY and os.access("/dev/kmsg", os.R_OK)), reason="needs a memory cgroup and /dev/kmsg"
)
GREEDY = "python3 -c 'x = bytearray(200 << 20); print(len(x))'"
MB = 1 << 20


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


def limited(memory_bytes: int = 48 * MB, **more: Any) -> Resources:
    """Resources as Nomad gives them."""
    return Resources(memory_bytes=memory_bytes, **more)


class Ran:
    """How a task ended, and what an operator was told meanwhile."""

    def __init__(self, result: ExitResult, said: list[str], out: str) -> None:
        self.result = result
        self.said = said
        self.out = out

    def says(self, words: str) -> bool:
        """Whether an event holds these words."""
        return any(words in text for text in self.said)


def told(host: rig.Host, task_id: str) -> list[str]:
    """What the operator is told of a task, from its history."""
    events = [one.event for one in host.history(task_id)]
    return [event.text for event in events if isinstance(event, NoticeGiven)] + [
        event.reason for event in events if isinstance(event, TeardownBegan)
    ]


def scenario(host: rig.Host, config: Mapping[str, Any], **changes: Any) -> Ran:
    """Run one task on a plugin of its own and leave the host as it was."""

    async def all_of_it() -> Ran:
        before = host.snapshot()
        spec = host.spec(config, **changes)
        async with rig.plugin(host) as plugin:
            await plugin.start(spec)
            result = await asyncio.wait_for(plugin.client.wait(spec.id), 30)
            said = told(host, spec.id)
            await plugin.client.destroy(spec.id)
            host.wait_clean(before)
        return Ran(result, said, Path(spec.stdout_path).read_text())

    return asyncio.run(all_of_it())


class TestMemory:
    """Nomad's memory, and the job's own rules for it."""

    @needs_memory
    def test_main_dies_of_it(self, host: rig.Host) -> None:
        """A main that grows beyond the limit is OOMKilled, and the task's events say so."""
        ran = scenario(host, {"Exec_start": f"exec {GREEDY}"}, resources=limited())
        assert (ran.result.exit_code, ran.result.signal, ran.result.oom_killed) == (137, 9, True)
        assert ran.says("main was killed at its memory limit")

    @needs_memory
    def test_a_worker_dies_of_it(self, host: rig.Host) -> None:
        """A killed worker is an event; the task goes on and ends as main ends."""
        script = f"{GREEDY}; echo worker $?; exit 4"
        ran = scenario(host, {"Exec_start": script}, resources=limited())
        assert (ran.result.exit_code, ran.result.signal, ran.result.oom_killed) == (4, 0, False)
        assert ran.out == "worker 137\n"
        assert ran.says("of the task was killed at the memory limit (memoryuse 50331648)")

    @needs_memory
    def test_the_jobs_own_rule(self, host: rig.Host) -> None:
        """Rctl wins over Nomad's resources, and has its evidence too."""
        rule = {"Memoryuse": {"Action": "sigkill", "Amount": "40M"}}
        ran = scenario(host, {"Exec_start": f"exec {GREEDY}", "Rctl": rule}, resources=limited(900 * MB))
        assert ran.result.oom_killed

    @needs_memory
    def test_an_ordinary_kill_is_none(self, host: rig.Host) -> None:
        """Signal 9 from elsewhere is not taken for the limit while the kernel is listened to."""
        ran = scenario(host, {"Exec_start": "kill -9 $$; true"}, resources=limited())
        assert (ran.result.signal, ran.result.oom_killed) == (9, False)
        assert not ran.says("memory limit")

    @needs_memory
    def test_over_a_restart(self, host: rig.Host) -> None:
        """A plugin that took the task over hears of its end as the first one would have."""

        async def scenario() -> None:
            before = host.snapshot()
            wait = "while [ ! -e /alloc/go ]; do sleep 0.05; done"
            spec = host.spec({"Exec_start": f"{wait}; exec {GREEDY}"}, resources=limited())
            first = await rig.launch(host)
            started = await first.start(spec)
            await first.kill()
            async with rig.plugin(host) as second:
                await second.client.recover(started.handle)
                Path(spec.alloc_dir, "alloc/go").touch()
                result = await asyncio.wait_for(second.client.wait(spec.id), 20)
                assert (result.signal, result.oom_killed) == (9, True)
                await second.client.destroy(spec.id)
            host.wait_clean(before)

        asyncio.run(scenario())

    def test_without_evidence_it_is_probable(self, host: rig.Host) -> None:
        """A plugin that was away when main died calls it probable, never OOMKilled."""

        async def scenario() -> None:
            before = host.snapshot()
            spec = host.spec({"Exec_start": "sleep 300"}, resources=limited())
            first = await rig.launch(host)
            started = await first.start(spec)
            main = host.task(spec.id).main
            assert main is not None
            await first.kill()
            os.kill(main.pid, signal.SIGKILL)
            async with rig.plugin(host) as second:
                await second.client.recover(started.handle)
                result = await asyncio.wait_for(second.client.wait(spec.id), 20)
                assert (result.signal, result.oom_killed) == (9, False)
                words = "probably at its memory limit (memoryuse 50331648)"
                assert any(words in text for text in told(host, spec.id))
                await second.client.destroy(spec.id)
            host.wait_clean(before)

        asyncio.run(scenario())


class TestCores:
    """Nomad's ``cores``."""

    def test_the_jail_is_bound(self, host: rig.Host) -> None:
        """Main may run on the reserved processors alone."""
        ran = scenario(
            host,
            {"Exec_start": "grep Cpus_allowed_list /proc/self/status", "Mount_procfs": True},
            resources=Resources(cpuset_cpus="1"),
        )
        assert ran.out.split() == ["Cpus_allowed_list:", "1"]

    @pytest.mark.parametrize("point", ["after-intent", "after-effect"])
    def test_a_crash_in_the_middle(self, host: rig.Host, point: str) -> None:
        """Nomad repeats the start: the jail is bound, once or again, and main runs once."""

        async def scenario() -> None:
            before = host.snapshot()
            host.plan_faults({"point": point, "step": "cpus", "do": "kill"})
            show = "echo run >> /alloc/runs; grep Cpus_allowed_list /proc/self/status"
            config = {"Exec_start": show, "Mount_procfs": True}
            spec = host.spec(config, resources=limited(cpuset_cpus="0"))
            first = await rig.launch(host)
            with pytest.raises(PluginError):
                await first.start(spec)
            await first.gone()
            async with rig.plugin(host) as second:
                await second.start(spec)
                await asyncio.wait_for(second.client.wait(spec.id), 20)
                await second.client.destroy(spec.id)
            host.wait_clean(before)
            assert Path(spec.alloc_dir, "alloc/runs").read_text() == "run\n"
            assert Path(spec.stdout_path).read_text().split()[-1] == "0"

        asyncio.run(scenario())

    def test_a_core_that_is_not_there(self, host: rig.Host) -> None:
        """The start fails with cpuset's words, and leaves nothing."""

        async def refused() -> None:
            before = host.snapshot()
            async with rig.plugin(host) as plugin:
                with pytest.raises(Exception, match="setaffinity"):
                    await plugin.start(
                        host.spec({"Exec_start": "true"}, resources=Resources(cpuset_cpus="999"))
                    )
                host.wait_clean(before)

        asyncio.run(refused())


class TestOthers:
    """Maxproc and Openfiles."""

    def test_maxproc_bites(self, host: rig.Host) -> None:
        """No more processes than the rule allows, for the jail as a whole."""
        rule = {"Maxproc": {"Action": "deny", "Amount": 3}}
        forks = "for i in 1 2 3 4 5 6; do sleep 1 & done; echo forked"
        ran = scenario(host, {"Exec_start": forks, "Rctl": rule})
        assert ran.result.exit_code != 0
        assert ran.out == ""

    def test_openfiles_bites(self, host: rig.Host) -> None:
        """No more open files than the rule allows, for each process; what Linux cannot do is said."""
        rule = {"Openfiles": {"Action": "deny", "Amount": 7}, "Nshm": {"Action": "deny", "Amount": 3}}
        ran = scenario(host, {"Exec_start": "ulimit -n; true", "Rctl": rule})
        assert ran.out == "7\n"
        [said] = [text for text in ran.said if text.startswith("limits that this host")]
        assert "openfiles:deny (for each process, not for all together)" in said
        assert "nshm:deny (not at all)" in said


def test_a_routing_table(tmp_path: Path) -> None:
    """Exec_fib puts setfib(1) in front of what runs inside: main, the commands before it and exec.stop."""
    with rig.host() as host:
        log = tmp_path / "fibs"
        setfib = host.tools / "setfib"
        setfib.write_text(f'#!/bin/sh\necho "$1" "${{2##*/}}" >> {log}\nshift\nexec "$@"\n')
        setfib.chmod(0o755)

        async def scenario() -> None:
            before = host.snapshot()
            config = {"Exec_start": ["true", "sleep 300"], "Exec_stop": "true", "Exec_prestart": "true"}
            spec = host.spec({**config, "Exec_fib": 0})
            async with rig.plugin(host) as plugin:
                await plugin.start(spec)
                await rig.until("main's line", lambda: log.exists() and log.read_text().count("\n") == 2)
                await plugin.client.stop(spec.id, timeout_s=2, signal="SIGTERM")
                result = await plugin.client.wait(spec.id)
                assert result.signal == signal.SIGTERM
                await plugin.client.destroy(spec.id)
            host.wait_clean(before)

        asyncio.run(scenario())
        assert log.read_text() == "-F0 jexec\n" * 3
