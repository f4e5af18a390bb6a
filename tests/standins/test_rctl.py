"""rctl: the kernel's refusals, what is shown, and what bites on Linux."""

import itertools
import os
import socket
from pathlib import Path

import pytest

from jail_linux import rctl, rules
from jail_linux.failure import Failure, error_text
from standins.toolbox import Toolbox

RATES = {"readbps", "writebps", "readiops", "writeiops"}
SLOPPY = {"pseudoterminals", "swapuse", "msgqqueued", "msgqsize", "nmsgq", "nsem", "nshm", "shmsize"}
UNSUPPORTED = "Operation not supported"
# What FreeBSD 15.1 answered to 25 resources by 7 actions: all not named here were accepted.
REFUSED = {
    **{(name, "deny"): UNSUPPORTED for name in {"cputime", "wallclock"} | RATES},
    **{(name, "throttle"): UNSUPPORTED for name in set(rules.RESOURCES) - RATES},
}
ACTIONS = ("deny", "log", "devctl", "throttle", "sigterm", "sigkill", "sigxcpu")


@pytest.mark.parametrize("resource", rules.RESOURCES)
def test_every_action_and_per(resource: str) -> None:
    """Each resource by action by per is accepted or refused as the recorded kernel did."""
    for action, per in itertools.product(ACTIONS, ("", "/jail", "/user", "/process", "/loginclass")):
        rule = rules.parse(f"jail:t1:{resource}:{action}=5M{per}")
        sloppy = UNSUPPORTED if per == "/process" and resource in SLOPPY else ""
        wanted = REFUSED.get((resource, action), sloppy)
        number = rules.refusal(rule)
        assert (error_text(number) if number else "") == wanted, (resource, action, per)


# rule, what rctl says; an empty text means that it is accepted
GRAMMAR = [
    ("jail:t1:memoryuse:deny=64MB", ""),
    ("jail:t1:memoryuse:deny=0", ""),
    ("jail:t1:memoryuse:deny=1E", ""),
    ("jail:t1:memoryuse:deny=9223372036854775807", ""),
    ("jail:t1:maxproc:SIGTERM=9", ""),
    ("jail:t1:maxproc:Deny=9", ""),
    ("jail:a b:memoryuse:deny=1", ""),
    *[(f"jail:t1:memoryuse:deny={text}", f"rctl: malformed rule '{{}}': invalid numeric value '{text}'")
      for text in ("1.5G", "-1", "abc", "1e3", "10%", "64 M", "99999999999999999999", "1:x")],
    ("jail:t1:memoryuse:deny=18446744073709551615", "rctl: failed to add rule '{}': Result too large"),
    *[(text, "rctl: failed to add rule '{}': Invalid argument")
      for text in ("jail:t1:memoryuse:deny=", "jail:t1:memoryuse:deny=64M/foo", "jail:t1:memoryuse",
                   "jail:t1:memoryuse:deny", "jail:t1:nosuch:deny=1", "jail:t1:memoryuse:nosuch=1",
                   "jail::memoryuse:deny=1", "nosuch:t1:memoryuse:deny=1", "jail:t1", "jail:t1::deny=1",
                   "jail:t1:memoryuse::=1", "jail:t1:memoryuse:=5", "jail:t1:maxproc:sigcont=9",
                   "jail:t1:maxproc:term=9")],
    *[(text, "rctl: malformed rule '{}': missing subject") for text in ("", "jail", "t1")],
    ("user:nosuch:maxproc:deny=5", "rctl: malformed rule '{}': unknown user 'nosuch'"),
    ("process:99999999:maxproc:deny=5", "rctl: failed to add rule '{}': No such process"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), GRAMMAR, ids=[row[0] or "(empty)" for row in GRAMMAR])
def test_grammar(text: str, words: str) -> None:
    """Each rule is accepted or refused with rctl's words."""
    try:
        number = rules.refusal(rules.parse(text))
        said = f"rctl: failed to add rule '{text}': {error_text(number)}" if number else ""
    except Failure as failure:
        said = failure.lines[0]
    assert said == words.format(text)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (8192, "8192"), (1 << 20, "1024K"), (5 << 20, "5120K"), (64 << 20, "64M"), (12308480, "12M"),
     (10080256, "9844K"), (1 << 30, "1024M")],
)  # fmt: skip
def test_human_amounts(amount: int, text: str) -> None:
    """-h writes amounts as humanize_number(3) does in five columns."""
    assert rctl.humanize(amount) == text


class TestRules:
    """The list of rules."""

    def test_shown_removed_and_missing(self, tools: Toolbox) -> None:
        """A rule exists without its jail; removing what is not there is "No such process"."""
        tools.ok("rctl -a jail:jl1:memoryuse:deny=64M jail:jl1:maxproc:deny=9/process")
        assert (
            tools.ok("rctl jail:jl1") == "jail:jl1:maxproc:deny=9/process\njail:jl1:memoryuse:deny=67108864\n"
        )
        assert tools.ok("rctl -h jail:jl1:memoryuse") == "jail:jl1:memoryuse:deny=64M\n"
        tools.ok("rctl -r jail:jl1:maxproc; rctl -r jail:jl1")
        assert tools.sh("rctl -r jail:jl1") == (
            1, "", "rctl: failed to remove rule 'jail:jl1': No such process\n")  # fmt: skip
        assert tools.ok("rctl jail:jl1") == ""

    def test_deny_is_replaced_others_add_up(self, tools: Toolbox) -> None:
        """Another amount replaces a deny rule; a log rule with another amount is one more."""
        tools.ok(
            "rctl -a jail:jl1:maxproc:deny=9 jail:jl1:maxproc:deny=8 jail:jl1:nthr:log=1 jail:jl1:nthr:log=2"
        )
        shown = tools.ok("rctl jail:jl1; rctl -r jail:jl1")
        assert shown == "jail:jl1:nthr:log=2\njail:jl1:nthr:log=1\njail:jl1:maxproc:deny=8\n"

    def test_a_bad_one_among_good_ones(self, tools: Toolbox) -> None:
        """Rules are added one by one; the status counts the refused ones."""
        said = tools.sh("rctl -a jail:jl1:maxproc:deny=5 jail:jl1:nosuch:deny=1 jail:jl1:openfiles:deny=9")
        assert (said.status, said.out) == (1, "")
        assert said.err == "rctl: failed to add rule 'jail:jl1:nosuch:deny=1': Invalid argument\n"
        assert len(tools.ok("rctl jail:jl1; rctl -r jail:jl1").splitlines()) == 2

    def test_usage_of_no_jail(self, tools: Toolbox) -> None:
        """An unknown jail uses nothing, and that is no error."""
        rows = tools.ok("rctl -u jail:nosuch").splitlines()
        assert rows == [f"{name}=0" for name in rules.RESOURCES]

    def test_usage_of_a_jail(self, tools: Toolbox) -> None:
        """Processes inside are counted."""
        tools.ok(
            "jail -c name=jl1 path=/ persist; jexec jl1 /bin/sh -c 'sleep 60 >/dev/null 2>&1 </dev/null &'"
        )
        used = dict(row.split("=") for row in tools.ok("rctl -u jail:jl1").splitlines())
        assert (used["maxproc"], used["nthr"]) == ("1", "1")
        assert int(used["vmemoryuse"]) > 0
        tools.ok("pkill -9 -j jl1")

    def test_refused_words(self, tools: Toolbox) -> None:
        """Limits of a jail cannot be asked for, and an unknown subject is invalid."""
        assert tools.sh("rctl -l jail:jl1").err == (
            "rctl: failed to get limits for 'jail:jl1': Operation not supported\n"
        )
        assert tools.sh("rctl nosuchfilter:").err == (
            "rctl: failed to show rules for 'nosuchfilter:': Invalid argument\n"
        )

    def test_accounting_off(self, standins: Toolbox) -> None:
        """With kern.racct.enable=0 every call says how to turn it on."""
        path = Path(f"{standins.directory}/settings.json")
        path.write_text(
            path.read_text(encoding="utf-8").replace("{", '{"racct": false, ', 1), encoding="utf-8"
        )
        words = "rctl: RACCT/RCTL present, but disabled; enable using kern.racct.enable=1 tunable\n"
        for arguments in ("", "-a jail:t1:memoryuse:deny=64M", "-u jail:t1", "-r jail:t1"):
            assert standins.sh(f"rctl {arguments}") == (1, "", words)
        assert standins.ok("sysctl -n kern.racct.enable") == "0\n"


def _has_cgroup(controller: str) -> bool:
    roots = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")]
    v2 = any(controller in (root / "cgroup.subtree_control").read_text(encoding="ascii").split()
             for root in roots if (root / "cgroup.subtree_control").exists())  # fmt: skip
    return v2 or (Path("/sys/fs/cgroup") / controller / "cgroup.procs").exists()


class TestEnforced:
    """What Linux enforces of the rules."""

    def test_per_process_limits(self, standins: Toolbox) -> None:
        """openfiles, vmemoryuse, coredumpsize: deny become the program's own limits."""
        standins.ok("jail -c name=jl1 path=/ persist")
        standins.ok(
            "rctl -a jail:jl1:openfiles:deny=7 jail:jl1:vmemoryuse:deny=1G/process jail:jl1:coredumpsize:deny=0"
        )
        assert standins.ok("jexec jl1 /bin/sh -c 'ulimit -n; ulimit -v; ulimit -c'") == "7\n1048576\n0\n"
        standins.ok("rctl -r jail:jl1")
        assert standins.ok("jexec jl1 /bin/sh -c 'ulimit -v'") == "unlimited\n"

    @pytest.mark.skipif(not _has_cgroup("pids"), reason="needs a writable pids cgroup")
    def test_maxproc(self, standins: Toolbox) -> None:
        """maxproc:deny makes fork fail inside, for the jail as a whole; the cgroup goes with the jail."""
        standins.ok("jail -c name=jl1 path=/ persist; rctl -a jail:jl1:maxproc:deny=3")
        script = "sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait; echo done"
        said = standins.sh(f"jexec jl1 /bin/sh -c '{script}'")
        assert said.status == 2
        assert "annot fork" in said.err
        assert standins.ok("jexec jl1 grep -o jail_linux /proc/self/cgroup | sort -u") == "jail_linux\n"
        standins.ok("rctl -r jail:jl1; pkill -9 -j jl1; jail -R jl1; jls -d")
        assert not list(Path("/sys/fs/cgroup").glob(f"**/jail_linux.{_mark(standins)}.*"))

    @pytest.mark.skipif(not _has_cgroup("memory"), reason="needs a writable memory cgroup")
    def test_memory(self, standins: Toolbox) -> None:
        """memoryuse:sigkill kills what grows beyond it."""
        standins.ok("jail -c name=jl1 path=/ persist; rctl -a jail:jl1:memoryuse:sigkill=40M")
        said = standins.sh("jexec jl1 python3 -c 'x = b\"a\" * 200000000'; echo $?")
        assert said.out == "137\n"
        standins.ok("rctl -r jail:jl1; jexec jl1 python3 -c 'x = b\"a\" * 200000000'")

    @pytest.mark.skipif(not _has_cgroup("memory"), reason="needs a writable memory cgroup")
    @pytest.mark.skipif(not os.access("/dev/kmsg", os.R_OK), reason="needs /dev/kmsg")
    def test_evidence_of_a_memory_kill(self, standins: Toolbox) -> None:
        """Where a devctl rule asks for it, listeners are told which process was killed, as by devd."""
        standins.ok("jail -c name=jl1 path=/ persist")
        standins.ok("rctl -a jail:jl1:memoryuse:sigkill=40M jail:jl1:memoryuse:devctl=40M")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.settimeout(10)
            listener.connect(f"{standins.directory}/devd.seqpacket.pipe")
            victim = standins.start("jexec", "jl1", "python3", "-c", "x = b'a' * 200000000")
            assert victim.wait(20) == -9
            rule = "jail:jl1:memoryuse:devctl=41943040"
            assert listener.recv(8192).decode() == (
                f"!system=RCTL subsystem=rule type=matched rule={rule} pid={victim.pid} ruid=0 jail=jl1\n"
            )
            standins.ok("rctl -r jail:jl1; jail -R jl1")

    @pytest.mark.skipif(not os.access("/dev/kmsg", os.R_OK), reason="needs /dev/kmsg")
    def test_the_daemon_ends_with_the_last_rule(self, standins: Toolbox) -> None:
        """One daemon for all devctl rules; the socket and it are gone when nobody needs them."""
        socket_path = Path(f"{standins.directory}/devd.seqpacket.pipe")
        standins.ok("rctl -a jail:jl1:maxproc:devctl=5 jail:jl2:maxproc:devctl=5; rctl -r jail:jl1")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.settimeout(10)
            listener.connect(str(socket_path))
            standins.ok("rctl -r jail:jl2")
            assert listener.recv(1) == b""
        assert not socket_path.exists()
        standins.ok("rctl -a jail:jl1:maxproc:devctl=5")
        assert socket_path.exists()
        standins.ok("rctl -r jail:jl1")

    def test_what_is_enforced_is_said(self, standins: Toolbox) -> None:
        """One value names the limits that bite, so that nobody takes the others for enforced."""
        said = standins.ok("sysctl -n kern.racct.enforced").split()
        assert {"openfiles:deny:process", "openfiles:deny:jail/process"} <= set(said)
        assert ("maxproc:deny:jail" in said) == _has_cgroup("pids")
        assert not {word for word in said if word.startswith(("wallclock", "nshm"))}


def _mark(standins: Toolbox) -> str:
    import binascii  # noqa: PLC0415  # only to name the cgroup

    return f"{binascii.crc32(f'{standins.directory}/registry'.encode()):08x}"
