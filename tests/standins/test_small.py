"""sysctl, kenv, ps, pgrep, cpuset, devfs."""

import json
import os
import time
from pathlib import Path

import pytest

from standins.toolbox import Toolbox

# script, status, output, errors
ROWS = [
    ("sysctl kern.racct.enable", 0, "kern.racct.enable: 1\n", ""),
    ("sysctl -n security.jail.param.allow.raw_sockets", 0, "0\n", ""),
    ("sysctl security.jail.param.nosuch", 1, "", "sysctl: unknown oid 'security.jail.param.nosuch'\n"),
    ("sysctl -n kern.nosuch", 1, "", "sysctl: unknown oid 'kern.nosuch'\n"),
    ("sysctl kern.boot_id", 0, "", ""),
    ("sysctl -n security.jail.jailed kern.ostype", 0, "0\nFreeBSD\n", ""),
    ("kenv jail_contract", 255, "", "kenv: unable to get jail_contract\n"),
    ("kenv jail_contract=1; kenv jail_contract; kenv -u jail_contract; kenv -q jail_contract", 255,
     'jail_contract="1"\n1\n', ""),
    ("cpuset -g -j nosuch", 1, "", 'cpuset: jail "nosuch" not found\n'),
    ("jail -c name=jl1 path=/ persist; cpuset -l 999 -j jl1", 1, "", "cpuset: setaffinity: Invalid argument\n"),
    ("ps -J nosuch", 1, "", "ps: Invalid jail id: nosuch\n"),
    ("pgrep -j nosuch sleep", 2, "", "pgrep: Invalid jail ID or name `nosuch'\n"),
    ("jail -c name=jl1 path=/ persist; pgrep -j jl1 sleep", 1, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("script", "status", "out", "err"), ROWS, ids=[row[0][:60] for row in ROWS])
def test_row(tools: Toolbox, script: str, status: int, out: str, err: str) -> None:
    """Each command line ends with FreeBSD's status and words."""
    assert tools.sh(script) == (status, out, err)


def test_parameters_of_the_kernel(tools: Toolbox) -> None:
    """`sysctl -N security.jail.param` lists what jail(8) may set, and inner nodes: one with a value has a dotted leaf."""
    names = {
        row.removeprefix("security.jail.param.") for row in tools.ok("sysctl -N security.jail.param").split()
    }
    assert {
        "path",
        "name",
        "persist",
        "ip4.addr",
        "ip4.",
        "allow.mount.",
        "allow.raw_sockets",
        "vnet",
    } <= names
    assert {"allow", "ip4", "children"} <= names
    assert not {"", "security.jail.param", "allow.", "children."} & names


def test_boot_id(tools: Toolbox) -> None:
    """`sysctl -b kern.boot_id` gives sixteen bytes, the same ones each time."""
    first, second = (tools.ok("sysctl -b kern.boot_id | od -An -v -tx1").split() for _ in range(2))
    assert first == second
    assert len(first) == 16


def test_boot_time(standins: Toolbox) -> None:
    """kern.boottime and the uptime add up to now."""
    text = standins.ok("sysctl -n kern.boottime")
    seconds = int(text.split("sec = ")[1].split(",")[0])
    assert abs(seconds + time.clock_gettime(time.CLOCK_BOOTTIME) - time.time()) < 2
    assert standins.ok("sysctl -b kern.boottime | wc -c").strip() == "16"


def test_processes_with_their_jails(tools: Toolbox) -> None:
    """Ps and pgrep know which jail a process is in."""
    tools.ok("jail -c name=jl1 path=/ persist; jexec jl1 /bin/sh -c 'sleep 97 >/dev/null 2>&1 </dev/null &'")
    [pid] = tools.ok("until pgrep -j jl1 sleep; do :; done").split()
    jid = tools.ok("jls -j jl1 jid").strip()
    assert tools.ok("ps -J jl1 -o pid=").strip() == pid
    assert tools.ok(f"ps -o pid,jid -p {pid}").split() == ["PID", "JID", pid, jid]
    table = json.loads(tools.ok("ps --libxo json -axo pid,ppid,jid,state,command"))
    rows = {row["pid"]: row for row in table["process-information"]["process"]}
    assert rows[pid]["jail-id"] == jid
    assert "J" in rows[pid]["state"]
    assert rows[pid]["command"] == "sleep 97"
    assert rows[str(os.getpid())]["jail-id"] == "0"
    tools.ok("pkill -j jl1 sleep")


def test_processor_time(tools: Toolbox) -> None:
    """User and system time are apart; with -S the time of ended children is a part of the sum."""
    burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    columns = "-o usertime= -o systime= -o time="
    said = tools.sh(
        f"/bin/sh -c '{burn}'; ps {columns} -p $$; ps -S {columns} -p $$; ps -o systime,usertime -p $$ | head -1"
    )
    alone, summed, titles = said.out.splitlines()
    assert titles.split() == ["SYSTIME", "USERTIME"]
    user, system, total = (float(text.partition(":")[2]) for text in alone.split())
    assert abs(user + system - total) <= 0.02
    assert float(summed.split()[2].partition(":")[2]) > total + 0.05


def test_ps_of_nothing(tools: Toolbox) -> None:
    """Ps of a process that has ended prints the header alone, status 1."""
    said = tools.sh("ps -o pid,command -p $(/bin/sh -c 'echo $$')")
    assert (said.status, said.out.split()) == (1, ["PID", "COMMAND"])


class TestCpuset:
    """Binding a jail to processors."""

    def test_old_and_new_processes(self, standins: Toolbox) -> None:
        """Both what runs already and what is started later are bound."""
        standins.ok(
            "jail -c name=jl1 path=/ persist; jexec jl1 /bin/sh -c 'sleep 60 >/dev/null 2>&1 </dev/null &'"
        )
        standins.ok("cpuset -l 0 -j jl1")
        [pid] = standins.ok("pgrep -j jl1").split()
        assert "Cpus_allowed_list:\t0\n" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        assert standins.ok("jexec jl1 grep Cpus_allowed_list /proc/self/status").split()[1] == "0"
        assert standins.ok("cpuset -g -j jl1").startswith("jail 1 mask: 0\n")


class TestDevfsRules:
    """Rule sets of devfs."""

    def test_a_jails_set_hides_nothing_basic(self, standins: Toolbox) -> None:
        """Set 4, as /etc/defaults/devfs.rules has it, leaves the basic and login nodes."""
        standins.ok("mkdir d; mount -t devfs -o ruleset=4 devfs $PWD/d")
        assert {"null", "zero", "urandom", "fd", "stdout", "tty"} <= set(standins.ok("ls d").split())
        assert "full" in standins.ok("ls d").split()

    def test_own_sets(self, standins: Toolbox) -> None:
        """Rules are added, shown, applied and taken back."""
        standins.ok("mkdir d; mount -t devfs devfs $PWD/d")
        standins.ok(
            "devfs rule -s 10 add hide; devfs rule -s 10 add path null unhide; devfs -m $PWD/d rule -s 10 applyset"
        )
        assert standins.ok("devfs rule -s 10 show") == "100 hide\n200 path null unhide\n"
        assert standins.ok("ls d").split() == ["fd", "null"]
        assert standins.sh("devfs rule -s 10 add nonsense").status == 1
        standins.ok(
            "devfs rule -s 10 add path zero unhide; devfs -m $PWD/d rule -s 10 applyset; head -c 1 d/zero"
        )
        standins.ok("devfs rule -s 10 delset")
        assert standins.ok("devfs rule -s 10 show") == ""
