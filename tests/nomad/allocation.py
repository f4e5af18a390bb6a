"""One allocation of a job, as the agent shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nomad.system import eventually, processes

if TYPE_CHECKING:
    from nomad.agent import Agent


@dataclass(frozen=True, slots=True)
class Task:
    """One task of an allocation, as the agent tells it."""

    state: str
    failed: bool
    restarts: int
    events: tuple[Mapping[str, Any], ...]

    def event(self, kind: str) -> Mapping[str, Any] | None:
        """The newest event of a kind, for example ``Terminated``."""
        return next((event for event in reversed(self.events) if event["Type"] == kind), None)

    def exit(self) -> tuple[int, int]:
        """Exit code and signal of the newest ``Terminated`` event.

        Raises:
            AssertionError: there is none; the text has all events.
        """
        terminated = self.event("Terminated")
        assert terminated is not None, self.messages
        return terminated["ExitCode"], terminated["Signal"]

    @property
    def messages(self) -> str:
        """All events as an operator reads them."""
        return "\n".join(f"{event['Type']}: {event['DisplayMessage']}" for event in self.events)


@dataclass(frozen=True, slots=True)
class Allocation:
    """One allocation of a job."""

    agent: Agent
    id: str
    job: str

    def tasks(self) -> dict[str, Task]:
        """The tasks by name, as the agent sees them now."""
        states = self.agent.get(f"/v1/allocation/{self.id}").get("TaskStates") or {}
        return {
            name: Task(info["State"], info["Failed"], info["Restarts"], tuple(info.get("Events") or ()))
            for name, info in states.items()
        }

    def task(self, name: str = "") -> Task | None:
        """One task; without a name, the only one."""
        tasks = self.tasks()
        return tasks.get(name) if name else next(iter(tasks.values()), None)

    def wait(self, state: str, name: str = "", timeout_s: float = 45.0) -> Task:
        """Waits until a task is in one of Nomad's states: pending, running, dead."""

        def look() -> Task | None:
            task = self.task(name)
            return task if task and task.state == state else None

        try:
            return eventually(f"{self.job} {state}", look, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe()}\n{self.agent.log()[-6000:]}") from None

    def describe(self) -> str:
        """The states and events of all tasks, for a failing test's message."""
        return "\n".join(f"{name}: {task.state}\n{task.messages}" for name, task in self.tasks().items())

    def told(self) -> str:
        """The same, and what agent and plugin last wrote of it."""
        lines = [line for line in self.agent.log().splitlines() if self.id in line]
        return self.describe() + "\n" + "\n".join(line[:400] for line in lines[-80:])

    def logs(self, *argv: str, task: str = "") -> str:
        """``nomad alloc logs``."""
        done = self.agent.cli("alloc", "logs", *argv, self.id, *([task] if task else []))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def final_logs(self, *argv: str, task: str = "") -> str:
        """The log of an ended task, once the agent's collector has written the rest and is gone."""
        eventually(
            "the log collectors gone",
            lambda: not any(parent == self.agent.pid and "logmon" in argv for _, parent, argv in processes()),
        )
        return self.logs(*argv, task=task)

    def wait_log(self, text: str, *argv: str, timeout_s: float = 30.0) -> str:
        """Waits until the log holds a text; the whole log."""

        def look() -> str | None:
            try:
                log = self.logs(*argv)
            except AssertionError:
                return None  # the file appears with the first line
            return log if text in log else None

        return eventually(f"{text!r} in the log of {self.job}", look, timeout_s, every_s=0.2)

    def status(self) -> str:
        """``nomad alloc status``, what an operator looks at."""
        return self.agent.cli("alloc", "status", self.id).stdout

    def stop(self) -> None:
        """Stops the job and waits until all its tasks are dead."""
        self.agent.request("DELETE", f"/v1/job/{self.job}")

        def ended() -> bool:
            # A client tells its server of a task some time after it has started it: no task is no dead task.
            tasks = self.tasks().values()
            return bool(tasks) and all(task.state == "dead" for task in tasks)

        eventually(f"{self.job} dead", ended, timeout_s=60)
