"""How jails live and die: in-place exec, asynchronous removal, orphans, jails without persist."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from standins.toolbox import DRIVER, Toolbox, install

_SUBREAPER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
child = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
while True:
    try:
        pid, status = os.waitpid(-1, 0)
    except ChildProcessError:
        break
    print("main" if pid == child else "orphan", os.waitstatus_to_exitcode(status), flush=True)
"""


def wait_for(condition: object, seconds: float = 10.0) -> None:
    """Wait until a callable says yes."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def start_inside(tools: Toolbox, script: str) -> "subprocess.Popen[str]":
    """Start a shell in jail jl1 and wait until it says that it runs."""
    child = tools.start("jexec", "jl1", "/bin/sh", "-c", f"echo ready; {script}", stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


class TestInPlace:
    """jexec becomes the program: no process stands between."""

    def test_the_pid_is_the_programs(self, tools: Toolbox) -> None:
        """The forked process id is that of the program, and it is never 1."""
        tools.ok("jail -c name=jl1 path=/ persist")
        child = start_inside(tools, "echo $$; exec sleep 60")
        assert child.stdout is not None
        assert int(child.stdout.readline()) == child.pid
        child.kill()
        child.communicate()

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
    def test_a_signal_death_is_the_commands(self, tools: Toolbox, number: signal.Signals) -> None:
        """A signal to the pid kills the program, and the parent sees that signal."""
        tools.ok("jail -c name=jl1 path=/ persist")
        child = start_inside(tools, "exec sleep 60")
        child.send_signal(number)
        child.communicate()
        assert child.returncode == -number
        assert tools.ok("jls -j jl1 name") == "jl1\n"

    def test_stop_and_continue(self, tools: Toolbox) -> None:
        """SIGSTOP and SIGCONT work on the pid; the exit status arrives."""
        tools.ok("jail -c name=jl1 path=/ persist")
        child = start_inside(tools, "sleep 0.2; exit 3")
        child.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        child.send_signal(signal.SIGCONT)
        child.communicate()
        assert child.returncode == 3

    def test_no_signal_stays_ignored(self, standins: Toolbox) -> None:
        """The interpreter's own ignored signals are not handed to the program: a writer dies of SIGPIPE."""
        standins.ok("jail -c name=jl1 path=/ persist")
        masks = standins.ok("jexec jl1 grep SigIgn /proc/self/status").split()[1]
        assert int(masks, 16) & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)) == 0


class TestOrphans:
    """Who reaps what a jailed program leaves behind."""

    def test_a_reaper_outside_gets_the_true_status(self, standins: Toolbox) -> None:
        """A subreaper outside the jail reaps orphans inside with their own status."""
        standins.ok("jail -c name=jl1 path=/ persist")
        program = f"{standins.directory}/jexec"
        words = [
            sys.executable,
            "-c",
            _SUBREAPER,
            program,
            "jl1",
            "/bin/sh",
            "-c",
            "(sleep 0.1; exit 5) & exit 2",
        ]
        done = subprocess.run(words, env=standins.env, capture_output=True, text=True, check=True, timeout=20)
        assert done.stdout == "main 2\norphan 5\n"

    def test_removal_kills_them(self, tools: Toolbox) -> None:
        """Jail -R kills what runs inside, orphans too, first with SIGTERM."""
        tools.ok(
            "jail -c name=jl1 path=/ persist; jexec jl1 /bin/sh -c 'sleep 60 >/dev/null 2>&1 </dev/null &'"
        )
        assert len(tools.ok("until pgrep -j jl1 sleep; do :; done").split()) == 1
        tools.ok("jail -R jl1")
        assert tools.ok("jls -d name | grep -c ^jl1 || true") == "0\n"


class TestRemoval:
    """jail -r and jail -R."""

    def test_term_first(self, tools: Toolbox) -> None:
        """What heeds SIGTERM ends as it likes."""
        tools.ok("jail -c name=jl1 path=/ persist")
        child = start_inside(tools, "trap 'exit 4' TERM; sleep 60 & wait")
        tools.ok("jail -R jl1")
        child.communicate()
        assert child.returncode == 4

    @pytest.mark.slow
    def test_kill_after_ten_seconds(self, tools: Toolbox) -> None:
        """What ignores SIGTERM is killed after the default stop.timeout, with -R as well."""
        tools.ok("jail -c name=jl1 path=/ persist")
        child = start_inside(tools, "trap '' TERM; sleep 60")
        begun = time.monotonic()
        tools.ok("jail -R jl1")
        assert 9.5 < time.monotonic() - begun < 13
        child.communicate()
        assert child.returncode == -signal.SIGKILL

    def test_quick_when_nothing_is_left(self, tools: Toolbox) -> None:
        """After pkill -9 -j nothing is waited for; pkill says 1 once nothing matches."""
        tools.ok("jail -c name=jl1 path=/ persist")
        child = start_inside(tools, "trap '' TERM; sleep 60")
        assert tools.sh("pkill -9 -j jl1").status == 0
        child.communicate()
        assert child.returncode == -signal.SIGKILL
        assert tools.sh("pkill -9 -j jl1") == (1, "", "")
        begun = time.monotonic()
        tools.ok("jail -R jl1")
        assert time.monotonic() - begun < 5

    def test_pkill_of_no_jail(self, tools: Toolbox) -> None:
        """A jail that is not there is bad usage for pkill, not "no match"."""
        assert tools.sh("pkill -9 -j nosuch") == (2, "", "pkill: Invalid jail ID or name `nosuch'\n")

    def test_without_persist_it_ends_with_its_last_process(self, tools: Toolbox) -> None:
        """A jail made by command= alone goes with its last process."""
        tools.ok("jail -c name=jl1 path=/ command=/bin/sh -c 'sleep 1 >/dev/null 2>&1 </dev/null & exit 0'")
        assert tools.ok("jls -j jl1 name") == "jl1\n"
        wait_for(lambda: tools.sh("jls -d -c -j jl1").status == 1)

    def test_nopersist(self, tools: Toolbox) -> None:
        """Taking persist from an empty jail ends it."""
        tools.ok("jail -c name=jl1 path=/ persist; jail -m name=jl1 nopersist")
        assert tools.sh("jls -d -c -j jl1").status == 1


class TestDying:
    """A removed jail that something still holds; on the stand-ins a set time makes it so."""

    @pytest.fixture
    def slow(self, standins: Toolbox) -> Toolbox:
        """Stand-ins whose jails stay dying for a second."""
        assert standins.directory is not None
        install(standins.directory, "--dying-s", "1.0")
        return standins

    def test_who_sees_it(self, slow: Toolbox) -> None:
        """Jls hides it, jls -d shows it, nothing else wants it, removing it again is fine."""
        slow.ok("jail -c name=d1 path=/ persist; jail -r d1")
        assert slow.ok("jls jid") == ""
        assert slow.ok("jls -d jid name dying") == "1 d1 true\n"
        assert slow.sh("jls -j d1 name").err == 'jls: jail "d1" is dying\n'
        assert slow.sh("jexec d1 true").err == 'jexec: jail "d1" is dying\n'
        assert slow.sh("jls -c -j d1").status == 1
        assert slow.sh("jls -c -d -j d1").status == 0
        assert slow.sh("jail -R d1") == (0, "", "")
        wait_for(lambda: slow.ok("jls -d jid") == "")

    def test_its_name_and_number_are_free(self, slow: Toolbox) -> None:
        """A new jail takes the name at once; one that takes the number moves the dying one away."""
        slow.ok("jail -c name=d1 path=/ persist; jail -r d1; jail -c name=d1 path=/ persist")
        assert slow.ok("jls -d jid name dying") == "1 d1 true\n2 d1 false\n"
        slow.ok("jail -c name=e jid=1 path=/ persist")
        assert slow.ok("jls -d jid name dying") == "1 e false\n2 d1 false\n999999 d1 true\n"

    def test_it_holds_its_root(self, slow: Toolbox) -> None:
        """The file system below it is busy until it is gone."""
        (slow.work / "low").mkdir()
        (slow.work / "root").mkdir()
        slow.ok("mount -t nullfs $PWD/low $PWD/root; jail -c name=d1 path=$PWD/root persist; jail -R d1")
        assert "Device busy" in slow.sh("umount $PWD/root").err
        wait_for(lambda: slow.ok("jls -d jid") == "")
        slow.ok("umount $PWD/root")


class TestKilledInBetween:
    """A command that is killed leaves either nothing or what the next one finishes."""

    def test_every_moment_of_a_creation(self, standins: Toolbox) -> None:
        """Jail -c killed after any delay: there is a whole jail or none, and no namespace stays mounted."""
        for step in range(25):
            child = standins.start("jail", "-c", "name=k", "path=/", "persist", "vnet")
            time.sleep(0.001 * step)
            child.kill()
            child.wait()
            if standins.ok("jls -d name") == "k\n":
                standins.ok("jexec k true; jail -R k")
        standins.ok("jail -c name=z path=/ persist; jail -R z")
        rows = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        assert f"{standins.directory}/" not in rows
        assert list((standins.directory / "registry/jails").iterdir()) == []  # type: ignore[operator]

    def test_every_moment_of_a_removal(self, standins: Toolbox) -> None:
        """Jail -R killed after any delay: removing again always ends with nothing left."""
        for step in range(15):
            standins.ok(
                "jail -c name=k path=/ persist; jexec k /bin/sh -c 'sleep 60 >/dev/null 2>&1 </dev/null &'"
            )
            child = standins.start("jail", "-R", "k")
            time.sleep(0.002 * step)
            child.kill()
            child.wait()
            standins.sh("jail -R k")
            wait_for(lambda: standins.ok("jls -d jid") == "")


class TestRegistry:
    """Many commands at once, and another boot."""

    def test_created_at_once(self, standins: Toolbox) -> None:
        """Jails created side by side get a number each; of one name only one is made."""
        children = [standins.start("jail", "-c", f"name=c{n}", "path=/", "persist") for n in range(8)]
        same = [standins.start("jail", "-c", "name=same", "path=/", "persist", stderr=-3) for _ in range(3)]
        assert [child.wait() for child in children] == [0] * 8
        assert sorted(child.wait() for child in same) == [0, 1, 1]
        rows = [row.split() for row in standins.ok("jls jid name").splitlines()]
        assert sorted(name for _, name in rows) == sorted([*(f"c{n}" for n in range(8)), "same"])
        assert len({jid for jid, _ in rows}) == 9

    def test_another_boot_empties_it(self, standins: Toolbox) -> None:
        """Jails, rules and variables of an earlier boot are gone."""
        standins.ok("jail -c name=a path=/ persist; rctl -a jail:a:maxproc:deny=5; kenv x=1")
        assert standins.directory is not None
        settings = standins.directory / "settings.json"
        values = json.loads(settings.read_text(encoding="utf-8")) | {"boot_id": str(uuid.UUID(int=7))}
        settings.write_text(json.dumps(values), encoding="utf-8")
        assert standins.ok("jls -d jid; rctl") == ""
        assert standins.sh("kenv x").status == 255
        assert standins.ok("sysctl -b kern.boot_id | od -An -v -tx1").split() == ["00"] * 15 + ["07"]

    def test_a_lost_namespace_is_a_lost_jail(self, standins: Toolbox) -> None:
        """A jail whose namespace is no longer mounted (its mount namespace ended) is gone for every command."""
        standins.ok("jail -c name=a path=/ persist")
        subprocess.run(["umount", f"{standins.directory}/registry/jails/1/uts"], check=True)
        assert standins.ok("jls -d jid") == ""
        standins.ok("jail -c name=a path=/ persist")


def test_the_package_is_named_in_full(standins: Toolbox) -> None:
    """The installed commands find the package that installed them, wherever they are called from."""
    text = Path(f"{standins.directory}/jls").read_text(encoding="utf-8")
    assert str(DRIVER) in text
