"""What a task is given and what comes back from it, through a real agent."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from nomad.agent import Agent
from nomad.jobs import job, task


@dataclass(frozen=True, slots=True)
class Ended:
    """How a batch task ended.

    Args:
        exit: exit code and signal, as the agent tells them.
        told: the same, as the event store tells them.
        failed: whether the agent counts it as failed.
        out: its stdout.
        err: its stderr.
    """

    exit: tuple[int, int]
    told: tuple[int, int]
    failed: bool
    out: str
    err: str


def run_to_end(agent: Agent, command: str, more: str = "", config: str = "") -> Ended:
    """Runs a batch task; ``command`` is HCL."""
    body = f'Path = "{agent.root}"\nExec_start = {command}\n{config}'
    allocation = agent.run(job(agent.name(), task(body, more=more), kind="batch"))
    ended = allocation.wait("dead")
    [told] = agent.histories(allocation.id)
    assert told.states == ("pending", "prestart", "running", "prestop", "stopped")
    [exit_told] = told.exits()
    return Ended(
        ended.exit(), exit_told, ended.failed, allocation.final_logs(), allocation.final_logs("-stderr")
    )


class TestExit:
    """The result that Nomad shows is the one that main had, and the one in the history."""

    @pytest.mark.parametrize("code", [0, 7])
    def test_exit_code(self, agent: Agent, code: int) -> None:
        """A status is passed on as it is, and only 0 is success."""
        ended = run_to_end(agent, f'"exit {code};"')
        assert ended.exit == ended.told == (code, 0)
        assert ended.failed is (code != 0)

    def test_signal(self, agent: Agent) -> None:
        """Death by signal 9 is told as that signal; the code is a shell's, as with Nomad's own drivers."""
        ended = run_to_end(agent, '"kill -9 $$"')
        assert ended.exit[1] == ended.told[1] == 9
        assert ended.exit[0] in {0, 128 + 9}
        assert ended.failed

    def test_a_start_that_is_a_list(self, agent: Agent) -> None:
        """All but the last run to completion, the last is main."""
        ended = run_to_end(agent, '["echo one", "echo two", "echo three; exit 4"]')
        assert ended.out.splitlines() == ["one", "two", "three"]
        assert ended.exit == (4, 0)


class TestLogs:
    """``nomad alloc logs`` shows what main wrote."""

    def test_both_streams(self, agent: Agent) -> None:
        """Each stream has its own log, to the last byte."""
        ended = run_to_end(agent, '"echo to-out; echo to-err >&2; printf no-newline"')
        assert ended.out == "to-out\nno-newline"
        assert ended.err == "to-err\n"

    def test_a_megabyte(self, agent: Agent) -> None:
        """A burst is back-pressure for main, never a loss."""
        ended = run_to_end(agent, '"seq 1 150000"')
        assert ended.out.split() == [str(number) for number in range(1, 150001)]

    def test_consolelog(self, agent: Agent) -> None:
        """Exec_consolelog gets the output as well."""
        console = agent.base / f"{agent.name('console')}.log"
        config = f'Exec_consolelog = "{console}"'
        ended = run_to_end(agent, '"echo twice; echo trouble >&2"', config=config)
        assert ended.out == "twice\n"
        assert sorted(console.read_text().splitlines()) == ["trouble", "twice"]


class TestStop:
    """kill_signal and kill_timeout of the job hold."""

    def test_kill_signal(self, agent: Agent) -> None:
        """Main gets the job's signal and may end as it likes."""
        command = "trap 'echo got USR1; exit 5' USR1; echo up; while :; do sleep 0.1; done"
        body = f'Path = "{agent.root}"\nExec_start = "{command}"'
        allocation = agent.run(
            job(agent.name(), task(body, more='kill_signal = "SIGUSR1"\nkill_timeout = "20s"'))
        )
        allocation.wait_log("up")
        allocation.stop()
        ended = allocation.wait("dead")
        assert allocation.final_logs() == "up\ngot USR1\n"
        assert ended.exit() == (5, 0)

    def test_kill_timeout(self, agent: Agent) -> None:
        """A main that ignores the signal has its time, then it is killed."""
        command = "trap '' TERM; echo up; while :; do sleep 0.1; done"
        body = f'Path = "{agent.root}"\nExec_start = "{command}"'
        more = 'kill_signal = "SIGTERM"\nkill_timeout = "2s"'
        allocation = agent.run(job(agent.name(), task(body, more=more)))
        allocation.wait_log("up")
        begun = time.monotonic()
        allocation.stop()
        took_s = time.monotonic() - begun
        ended = allocation.wait("dead")
        assert ended.exit()[1] == 9
        assert 2 <= took_s < 10


class TestEnvironment:
    """Main sees what the job says, and nothing of the agent."""

    def test_exactly_the_jobs(self, agent: Agent) -> None:
        """PATH, HOME and LANG of the job win over login's; no variable of the agent is visible."""
        more = """
        env {
          PATH  = "/usr/local/bin:/usr/bin:/bin"
          HOME  = "/nowhere"
          LANG  = "de_DE.UTF-8"
          QUOTE = "it's \\"$HOME\\" = {}"
        }"""
        ended = run_to_end(agent, '"/usr/bin/env"', more)
        seen = dict(line.split("=", 1) for line in ended.out.splitlines())
        assert seen["PATH"] == "/usr/local/bin:/usr/bin:/bin"
        assert seen["HOME"] == "/nowhere"
        assert seen["LANG"] == "de_DE.UTF-8"
        assert seen["QUOTE"] == 'it\'s "$HOME" = {}'
        assert "AGENT_SECRET" not in seen
        assert {name for name in seen if not name.startswith("NOMAD_")} == {
            "PATH",
            "HOME",
            "LANG",
            "QUOTE",
            "USER",
            "SHELL",
        }

    @pytest.mark.parametrize("user", ["nobody", "65534", "65534:65534"])
    def test_another_user(self, agent: Agent, user: str) -> None:
        """Main runs as Nomad's ``user``, and the job's variables survive the login class."""
        more = f"""
        user = "{user}"
        env {{
          PATH = "/usr/bin:/bin"
          HOME = "/nowhere"
          LANG = "C.UTF-8"
        }}"""
        ended = run_to_end(agent, '"id -u; id -g; echo $HOME $LANG $PATH $USER"', more)
        assert ended.out.splitlines() == ["65534", "65534", "/nowhere C.UTF-8 /usr/bin:/bin nobody"], ended

    def test_directories(self, agent: Agent) -> None:
        """NOMAD_ALLOC_DIR, NOMAD_TASK_DIR and NOMAD_SECRETS_DIR name directories that are there."""
        command = "cd $NOMAD_ALLOC_DIR/data && echo shared > f; cd $NOMAD_TASK_DIR && echo own > f; pwd; cd $NOMAD_SECRETS_DIR; pwd"
        body = f'Path = "{agent.root}"\nExec_start = "{command}"'
        allocation = agent.run(job(agent.name(), task(body), kind="batch"))
        allocation.wait("dead")
        assert allocation.final_logs().splitlines() == ["/local", "/secrets"]
        for path, text in (("alloc/data/f", "shared\n"), ("t/local/f", "own\n")):
            assert agent.cli("alloc", "fs", allocation.id, path).stdout == text


class TestOnePath:
    """Many tasks share one ``Path``."""

    def test_each_sees_its_own(self, agent: Agent) -> None:
        """Three tasks of one group on one Path: own /local, shared /alloc, the Path itself unchanged."""
        before = agent.snapshot()
        names = ("one", "two", "three")
        tasks = (
            task(
                f'Path = "{agent.root}"\n'
                f'Exec_start = "echo {name} > /local/name; echo {name} > /alloc/data/{name}; sleep 2;'
                ' cat /local/name; ls /alloc/data"',
                name,
            )
            for name in names
        )
        allocation = agent.run(job(agent.name(), *tasks, kind="batch"))
        for name in names:
            allocation.wait("dead", name)
            assert allocation.final_logs(task=name).split() == [name, "one", "three", "two"]
        assert list((agent.root / "local").iterdir()) == []
        agent.wait_clean(before)
