"""Nomad's resources as limits, where the job sets none itself."""

from __future__ import annotations

from jail_driver.config.limits import Limits, from_resources, not_enforced
from jail_driver.config.model import RctlRule
from jail_driver.model import Resources

ALL = frozenset({"memory", "cpu", "cores"})
MEMORY = (RctlRule("memoryuse", "sigkill", "1000"), RctlRule("memoryuse", "devctl", "1000"))


def test_memory_kills_and_says_so() -> None:
    """The memory limit kills, and devctl tells why; memory_max wins over memory."""
    assert from_resources(Resources(memory_bytes=1000), (), ALL, racct=True).rules == MEMORY
    larger = from_resources(Resources(memory_bytes=10, memory_max_bytes=1000), (), ALL, racct=True)
    assert larger.rules == MEMORY


def test_cpu_is_a_share_of_one_core() -> None:
    """Shares become percent of a core, rounded up, never 0; unknown clock: no limit."""
    rules = from_resources(Resources(cpu_shares_mhz=500), (), ALL, racct=True, core_mhz=2000.0).rules
    assert rules == (RctlRule("pcpu", "deny", "25"),)
    assert (
        from_resources(Resources(cpu_shares_mhz=1), (), ALL, racct=True, core_mhz=4000.0).rules[0].amount
        == "1"
    )
    assert from_resources(Resources(cpu_shares_mhz=500), (), ALL, racct=True).rules == ()


def test_the_jobs_own_rules_win() -> None:
    """A resource that the job names is left to the job."""
    own = (RctlRule("memoryuse", "log", "5"), RctlRule("pcpu", "deny", "50"))
    got = from_resources(
        Resources(memory_bytes=1000, cpu_shares_mhz=500), own, ALL, racct=True, core_mhz=1000.0
    )
    assert got == Limits(own)


def test_only_what_the_operator_wants() -> None:
    """An empty option adds nothing; cores are passed on only if wanted."""
    resources = Resources(memory_bytes=1000, cpu_shares_mhz=500, cpuset_cpus="0-1")
    assert from_resources(resources, (), frozenset(), racct=True, core_mhz=1000.0) == Limits(())
    assert from_resources(resources, (), frozenset({"cores"}), racct=True).cpus == "0-1"


def test_without_accounting_it_is_said() -> None:
    """Where the kernel does not account, nothing is added, and a notice says so."""
    got = from_resources(Resources(memory_bytes=1000), (), ALL, racct=False)
    assert got.rules == ()
    assert "memoryuse" in got.notices[0]
    assert from_resources(Resources(), (), ALL, racct=False).notices == ()


def test_a_memory_limit_that_kills_tells_so() -> None:
    """The job's own sigkill on memory gets a devctl rule of the same amount; one that is there is enough."""
    own = (RctlRule("memoryuse", "sigkill", "1M"), RctlRule("vmemoryuse", "sigkill", "2M", "process"))
    told = (RctlRule("memoryuse", "devctl", "1M"), RctlRule("vmemoryuse", "devctl", "2M", "process"))
    assert from_resources(Resources(), own, ALL, racct=True).rules == (*own, *told)
    equal = (own[0], RctlRule("memoryuse", "devctl", "1048576", "jail"))
    assert from_resources(Resources(), equal, ALL, racct=True).rules == equal
    lower = (own[0], RctlRule("memoryuse", "devctl", "512K"))
    assert from_resources(Resources(), lower, ALL, racct=True).rules == (*lower, told[0])
    others = (RctlRule("memoryuse", "sigterm", "1M"), RctlRule("maxproc", "sigkill", "9"))
    assert from_resources(Resources(), others, ALL, racct=True).rules == others


def test_what_a_host_cannot_enforce_is_said() -> None:
    """One sentence names the limits; FreeBSD, which enforces all of them, is told nothing."""
    rules = (
        RctlRule("maxproc", "deny", "9"),
        RctlRule("openfiles", "deny", "9"),
        RctlRule("openfiles", "deny", "9", "process"),
        RctlRule("nshm", "deny", "9", "user"),
        RctlRule("nshm", "devctl", "9"),
    )
    words = "maxproc:deny:jail openfiles:deny:process openfiles:deny:jail/process"
    [said] = not_enforced(rules, words)
    assert said == (
        "limits that this host cannot enforce as written: openfiles:deny (for each process, not for all"
        " together), nshm:deny per user (not at all)"
    )
    assert not_enforced(rules, None) == ()
    assert not_enforced(rules[:1], words) == ()
