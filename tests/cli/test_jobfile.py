"""Job files as ``run`` reads them."""

from __future__ import annotations

from typing import Any

import pytest

from jail_driver.cli import jobfile
from jail_driver.errors import ConfigError

JOB = """
variable "root" {{
  default = "/default"
}}
job "shop" {{
  namespace = "eu"
  group "web" {{
    count = 2
    task "app" {{
      driver       = "jail-task-driver"
      user         = "www"
      kill_signal  = "SIGINT"
      kill_timeout = "1m30s"
      {more}
      env {{
        DEBUG = true
        WHERE = "${{NOMAD_TASK_DIR}}/data of ${{NOMAD_JOB_ID}}"
      }}
      config {{
        Path       = var.root
        Exec_start = "serve ${{env["WHERE"]}}"
        {config}
      }}
      resources {{
        cpu    = 250
        memory = 64
      }}
    }}
  }}
}}
"""


def load(more: str = "", config: str = "", **options: Any) -> tuple[jobfile.JobTask, dict[str, str]]:
    """Reads the sample job."""
    task, env = jobfile.load(JOB.format(more=more, config=config), alloc_id="0123456789", **options)
    return task, dict(env)


class TestTask:
    """What the file says about the task."""

    def test_everything_that_the_driver_is_told(self) -> None:
        """Names, user, signal, times and resources arrive with their units."""
        task, _ = load()
        assert (task.job, task.namespace, task.group, task.name) == ("shop", "eu", "web", "app")
        assert (task.user, task.kill_signal, task.kill_timeout_s) == ("www", "SIGINT", 90.0)
        assert (task.cpu_mhz, task.memory_bytes) == (250, 64 * 1024 * 1024)

    def test_what_run_does_not_do_is_said(self) -> None:
        """Parts that only a scheduler needs are named, not dropped in silence."""
        task, _ = load('service {\n  name = "x"\n}')
        assert task.left_out == ("count", "service")

    def test_environment(self) -> None:
        """Nomad's variables for image isolation, then the job's, with names replaced."""
        _, env = load('meta {\n  owner = "me"\n}')
        assert env["WHERE"] == "/local/data of shop"
        assert env["DEBUG"] == "true"
        assert env["NOMAD_ALLOC_DIR"] == "/alloc"
        assert env["NOMAD_SECRETS_DIR"] == "/secrets"
        assert env["NOMAD_SHORT_ALLOC_ID"] == "01234567"
        assert env["NOMAD_META_owner"] == "me"
        assert env["NOMAD_MEMORY_LIMIT"] == "64"

    def test_variables(self) -> None:
        """A variable has its default or the value of the command line."""
        assert load()[0].config["Path"] == "/default"
        assert load(variables={"root": "/given"})[0].config["Path"] == "/given"

    def test_a_bare_task(self) -> None:
        """The document's examples are bare task blocks: they can be run as they stand."""
        text = 'task "t" {\n driver = "jail-task-driver"\n config {\n Persist = true\n }\n}\n'
        task, _ = jobfile.load(text)
        assert (task.job, task.group, task.name) == ("run", "run", "t")
        assert task.config == {"Persist": True}


class TestConfig:
    """The config block becomes what Nomad's agent would make of it."""

    def test_blocks_and_objects_look_alike(self) -> None:
        """Both forms are a list of maps; further blocks are further elements (Nomad's blockattrs.go)."""
        inner = {"Action": "deny", "Amount": "1G"}
        attribute, _ = load(config='Rctl = {\n Vmemoryuse = {\n Action = "deny", Amount = "1G"\n }\n}')
        block, _ = load(config='Rctl {\n Vmemoryuse {\n Action = "deny"\n Amount = "1G"\n }\n}')
        assert attribute.config["Rctl"] == [{"Vmemoryuse": inner}]
        assert block.config["Rctl"] == [{"Vmemoryuse": [inner]}]

    def test_repeated_blocks(self) -> None:
        """All of them are kept, in order."""
        task, _ = load(config="B {\n n = 1\n}\nB {\n n = 2\n}")
        assert task.config["B"] == [{"n": 1}, {"n": 2}]


class TestRefusals:
    """What cannot be done is refused by name."""

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ('template {\n destination = "x"\n}', "cannot do template"),
            ('artifact {\n source = "x"\n}', "cannot do artifact"),
        ],
    )
    def test_what_takes_an_agent(self, more: str, words: str) -> None:
        """A task that would miss something is not started."""
        with pytest.raises(ConfigError, match=words):
            load(more)

    def test_another_driver(self) -> None:
        """A task of another driver is not ours to run."""
        with pytest.raises(ConfigError, match="for the driver 'docker'"):
            jobfile.load('task "t" {\n driver = "docker"\n}\n')

    def test_several_tasks(self) -> None:
        """Which of several is the user's choice."""
        one = 'task "{}" {{\n driver = "jail-task-driver"\n}}\n'
        text = one.format("a") + one.format("b")
        with pytest.raises(ConfigError, match="--task; the file's matching tasks: a, b"):
            jobfile.load(text)
        assert jobfile.load(text, task="b")[0].name == "b"

    def test_unknown_variable(self) -> None:
        """A value for a variable that the file does not declare is a typing mistake."""
        with pytest.raises(ConfigError, match="declares no variable 'rot'"):
            load(variables={"rot": "/x"})

    def test_bad_duration(self) -> None:
        """Units are required knowledge."""
        with pytest.raises(ConfigError, match="kill_timeout"):
            jobfile.load('task "t" {\n driver = "jail-task-driver"\n kill_timeout = "soon"\n}\n')
