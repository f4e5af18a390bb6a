"""What a step handler is: do, undo and observe, each in one place.

A handler performs one kind of step. It may be asked again after a crash: teardown kinds are repeatable,
the others say through ``observe`` whether they were done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jail_driver.engine.evidence import Evidence
from jail_driver.engine.paths import TaskDir
from jail_driver.engine.private import Private
from jail_driver.host.command import CommandRunner
from jail_driver.host.exits import Exits
from jail_driver.host.port import JailHost, JailSeen
from jail_driver.host.tools import Tools
from jail_driver.supervisor.launcher import ForkHelper, Launched
from jail_state.core import commands as cmd
from jail_state.core.reconcile import Seen, StepSeen
from jail_state.core.steps import Progress, Step, StepKind
from jail_state.core.task import Task

Result = Mapping[str, Any]


@dataclass(slots=True)
class Launch:
    """What only a StartTask carries: never stored, gone with the plugin."""

    env: Mapping[str, str]
    stdout_path: str
    stderr_path: str
    private: Private


@dataclass(slots=True)
class Context:
    """What a handler may use. ``task`` is always the newest snapshot of its own task."""

    task: Task
    directory: TaskDir
    private: Private | None
    launch: Launch | None
    host: JailHost
    runner: CommandRunner
    tools: Tools
    helper: ForkHelper
    others: Callable[[], Iterable[Task]]
    """The other tasks that are not stopped, newest snapshots."""
    apply: Callable[[cmd.Command], Awaitable[object]]
    """Decides and appends: for what a step learns besides its own outcome."""
    evidence: Evidence
    exits: Exits
    launched: Launched | None = None
    """The supervisor that waits for its go, in this plugin's life."""
    force: asyncio.Event | None = None
    """Set once somebody asked to skip grace."""

    def lock(self, step: Step) -> Path:
        """Return the lock file of a step's commands, its directory made."""
        self.directory.locks.mkdir(mode=0o700, exist_ok=True)
        return self.directory.lock(step.key)

    async def jail(self) -> JailSeen | None:
        """Return our jail if the kernel has it, dying or not: by jid if known, and always by name and path."""
        found: JailSeen | None = None
        for seen in await self.host.jails(dying=True):
            if seen.name != self.task.plan.jail_name or seen.path != str(self.directory.root):
                continue
            if self.task.jid is not None and seen.jid != self.task.jid and not seen.dying:
                continue
            if found is None or found.dying:
                found = seen
        return found

    def inside(self, path: str) -> Path:
        """Return a path of the jail as the host sees it, symlinks not followed."""
        return self.directory.root / path.lstrip("/")


class Handler:
    """The default: nothing to see before, repeatable, so "not done" after a crash."""

    def exclusive(self, ctx: Context, step: Step) -> str | None:  # noqa: ARG002
        """Return the name of what no two tasks may touch at once; None for most steps."""
        return None

    async def before(self, ctx: Context, step: Step) -> Result:  # noqa: ARG002
        """Look at the host; what is returned is journalled with the intent."""
        return {}

    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        """Do it.

        Raises:
            ConfigError: it can never work.
            HostError: the host refused.
        """
        raise NotImplementedError

    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:  # noqa: ARG002
        """Tell after a crash whether it was done; the step's commands have ended by then."""
        return StepSeen(Seen.NOT_DONE)


def undone(ctx: Context, step: Step) -> Result:
    """Return the result of the step that a teardown step unmakes; empty if it never ended."""
    record = ctx.task.records.get(step.undoes or "")
    return {} if record is None else record.result


def seen_before(ctx: Context, step: Step) -> Result:
    """Return what was seen before the step that a teardown step unmakes."""
    record = ctx.task.records.get(step.undoes or "")
    return {} if record is None else record.before


def holder(task: Task, kind: StepKind, matches: Callable[[Step], bool]) -> Result | None:
    """Return what a task saw before it made, and still has, something that others may use too."""
    undo = {step.undoes: step.key for step in task.plan.teardown}
    for step in task.plan.steps:
        record = task.records.get(step.key)
        if step.kind is not kind or record is None or not matches(step):
            continue
        gone = task.progress(undo.get(step.key, "")) is Progress.DONE
        if not gone and record.before.get("ours"):
            return record.before
    return None


def uses(task: Task, kind: StepKind, matches: Callable[[Step], bool]) -> bool:
    """Whether a task uses something shared, whoever made it."""
    undo = {step.undoes: step.key for step in task.plan.teardown}
    return any(
        step.kind is kind
        and step.key in task.records
        and matches(step)
        and task.progress(undo.get(step.key, "")) is not Progress.DONE
        for step in task.plan.steps
    )
