"""Files that Nomad gives to a task, and what it shows of them, through a real agent."""

from __future__ import annotations

from nomad.agent import Agent
from nomad.allocation import Allocation
from nomad.jobs import job, task
from nomad.system import eventually

VOLUME = """
name      = "{name}"
type      = "host"
plugin_id = "mkdir"
capability {{
  access_mode     = "single-node-multi-writer"
  attachment_mode = "file-system"
}}
"""


def shell(agent: Agent, command: str, config: str = "") -> str:
    """The config block of a task that runs a shell command."""
    return f'Path = "{agent.root}"\nExec_start = "{command}"\n{config}'


class TestNomadsFiles:
    """Templates, secrets, volumes."""

    def test_templates_and_secrets(self, agent: Agent) -> None:
        """Rendered into /local and /secrets; variables too; what the task writes is seen by ``alloc fs``."""
        more = """
        template {
          data        = "task {{ env \\"NOMAD_TASK_NAME\\" }}\\n"
          destination = "local/greeting"
        }
        template {
          data        = "PASSWORD=swordfish-7\\n"
          destination = "secrets/app.env"
          env         = true
        }"""
        command = "cat /local/greeting /secrets/app.env; echo $PASSWORD > /alloc/data/seen; sleep 60"
        allocation = agent.run(job(agent.name("files"), task(shell(agent, command), more=more)))
        allocation.wait_log("PASSWORD=")
        assert allocation.logs().splitlines() == ["task t", "PASSWORD=swordfish-7"]
        shown = eventually(
            "the file", lambda: agent.cli("alloc", "fs", allocation.id, "alloc/data/seen").stdout
        )
        assert shown == "swordfish-7\n"
        assert agent.cli("alloc", "fs", allocation.id, "t/local/greeting").stdout == "task t\n"
        assert "swordfish-7" not in agent.dump("--json", "--events", allocation.id)
        allocation.stop()

    def test_a_host_volume(self, agent: Agent) -> None:
        """One task writes into it, another reads it and cannot write: read_only is honoured."""
        name = agent.name("volume")
        spec = agent.base / f"{name}.hcl"
        spec.write_text(VOLUME.format(name=name))
        made = agent.cli("volume", "create", str(spec))
        assert made.returncode == 0, made.stderr
        volume = f"""
            volume "data" {{
              type            = "host"
              source          = "{name}"
              access_mode     = "single-node-multi-writer"
              attachment_mode = "file-system"
            }}"""
        mount = '\nvolume_mount {\n volume = "data"\n destination = "/srv/data"\n read_only = %s\n }\n'
        tasks = (
            task(shell(agent, "echo kept > /srv/data/file; sleep 3"), "writer", mount % "false"),
            task(
                shell(
                    agent,
                    "until cat /srv/data/file 2>/dev/null; do sleep 0.1; done; echo x > /srv/data/file",
                ),
                "reader",
                mount % "true",
            ),
        )
        before = agent.snapshot()
        allocation = agent.run(job(agent.name("volumes"), volume, *tasks, kind="batch"))
        allocation.wait("dead", "reader")
        allocation.wait("dead", "writer")
        assert allocation.final_logs(task="reader") == "kept\n"
        assert "Read-only file system" in allocation.final_logs("-stderr", task="reader")
        agent.wait_clean(before)
        assert not (agent.root / "srv").exists()


class TestUsers:
    """Tasks that do not run as root."""

    def test_reopening_the_log(self, agent: Agent) -> None:
        """Nomad's FIFOs are root's alone, yet a program of another user may open /dev/stdout again."""
        command = "echo inherited; echo reopened > /dev/stdout; echo trouble > /dev/stderr"
        config = shell(agent, command, "Mount_devfs = true")
        allocation = agent.run(job(agent.name("user"), task(config, more='user = "nobody"'), kind="batch"))
        ended = allocation.wait("dead")
        assert not ended.failed, allocation.final_logs("-stderr")
        assert allocation.final_logs() == "inherited\nreopened\n"
        assert allocation.final_logs("-stderr") == "trouble\n"


class TestOnePath:
    """Many allocations share one Path."""

    def test_three_allocations(self, agent: Agent) -> None:
        """Each sees its own /local, /alloc and /secrets only; Path is as it was."""
        before = agent.snapshot()
        name = agent.name("many")
        places = "/local /alloc/data /secrets"
        command = (
            f"for d in {places}; do echo $NOMAD_ALLOC_INDEX > $d/own-$NOMAD_ALLOC_INDEX; done; sleep 4;"
            f" for d in {places}; do ls $d | grep own; cat $d/own-*; done"
        )
        first = agent.run(job(name, "count = 3", task(shell(agent, command)), kind="batch"))
        listed = f"/v1/job/{name}/allocations"
        eventually("three allocations", lambda: len(agent.get(listed)) == 3)
        found = agent.get(listed)
        assert first.id in {one["ID"] for one in found}
        for one in found:
            allocation = Allocation(agent, one["ID"], name)
            allocation.wait("dead")
            index = one["Name"].rpartition("[")[2].rstrip("]")
            assert allocation.final_logs().split() == [f"own-{index}", index] * 3
        for place in ("local", "alloc", "secrets"):
            assert list((agent.root / place).iterdir()) == []
        agent.wait_clean(before)

    def test_a_neighbour_that_flips_a_link(self, agent: Agent) -> None:
        """It swaps a mount point of the others for a link to the host: they are right or refused, the host is as it was."""
        gift, prize = agent.base / "gift", agent.base / "prize"
        for directory, text in ((gift, "gift"), (prize, "prize")):
            directory.mkdir()
            (directory / "file").write_text(f"{text}\n")
        (agent.root / "mnt").mkdir()
        before = agent.snapshot()
        flip = (
            f"while :; do mv /mnt /was && ln -s {prize} /mnt; sleep 0.1; rm -f /mnt; mv /was /mnt; sleep 0.1;"
            " done 2>/dev/null"
        )
        attacker = agent.run(job(agent.name("flips"), task(shell(agent, flip))))
        attacker.wait("running")
        victims = []
        for _ in range(2):
            config = shell(agent, "cat /mnt/file", f'Mount = "{gift} /mnt nullfs ro"')
            victim = agent.run(job(agent.name("victim"), task(config), kind="batch"))
            victims.append((victim, victim.wait("dead")))
        attacker.stop()  # and with it the last of the log collectors
        outcomes = [ended.messages if ended.failed else victim.final_logs() for victim, ended in victims]
        reasons = (
            "is a symbolic link",
            "landed on",
            "no such",
            "No such file",
            "Not a directory",
            "not empty",
        )
        for outcome in outcomes:
            assert outcome == "gift\n" or any(reason in outcome for reason in reasons), outcome
        assert [path.name for path in prize.iterdir()] == ["file"]
        assert (prize / "file").read_text() == "prize\n"
        for place in (agent.root / "mnt", agent.root / "was"):
            if place.is_symlink():
                place.unlink()
            elif place.exists():
                assert list(place.iterdir()) == []
                place.rmdir()
        (agent.root / "mnt").mkdir()
        agent.wait_clean(before)
        (agent.root / "mnt").rmdir()
