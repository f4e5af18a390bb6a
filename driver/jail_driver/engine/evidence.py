"""Why a process died: what the kernel said about the tasks' limits, kept until somebody asks.

An rctl(8) signal hits whichever process crossed the limit, so a killed worker is an event of the task, and
only main's own death is an end by it. Evidence is never stored: a plugin that was not listening says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, Protocol

from jail_driver import log
from jail_driver.config.rules import MEMORY, amount_of
from jail_driver.host.devd import KernelEvents, RuleMatched
from jail_state.core import events as ev
from jail_state.core.steps import Step, StepKind
from jail_state.core.task import Task
from jail_state.store.errors import StoreError

_log = log.get("engine")
_SIGKILL = 9
_GRACE_S = 0.5
"""The supervisor may tell of a death before devd has told of its reason."""
_NOTICE_EVERY_S = 1.0


def memory_limits(task: Task) -> frozenset[tuple[str, int, str]]:
    """Return the limits of a task that kill for memory: resource, amount, per."""
    return frozenset(_limit(step) for step in _rules(task, "sigkill") if step.args["resource"] in MEMORY)


def wants_events(task: Task) -> bool:
    """Whether a task has a rule that the kernel tells of."""
    return any(True for _step in _rules(task, "devctl"))


def _rules(task: Task, action: str) -> Iterable[Step]:
    return (step for step in task.plan.steps if step.kind is StepKind.RULE and step.args["action"] == action)


def _limit(step: Step) -> tuple[str, int, str]:
    return step.args["resource"], amount_of(step.args["amount"]), step.args["per"] or "jail"


class Living(Protocol):
    """A task that the driver has, and may be told something of."""

    @property
    def task(self) -> Task:
        """The newest snapshot."""

    async def settle(self, verdict: Callable[[Task], tuple[ev.Event, ...]]) -> object:
        """Append what a pure function says of the newest snapshot."""


class Evidence:
    """What was heard in this plugin's life. All methods are called on the event loop.

    Args:
        tasks: the tasks as they are now.
        pipe: path of devd's socket.
        device: whether /dev/devctl may be read where there is no devd.
    """

    def __init__(self, tasks: Callable[[], Iterable[Living]], pipe: str, *, device: bool) -> None:
        self._tasks = tasks
        self._source = KernelEvents(
            pipe, device=device, on_match=self._matched, on_change=self._changed, wanted=self._wanted
        )
        self._killed: defaultdict[str, set[int]] = defaultdict(set)
        self._covered: set[str] = set()
        self._news = asyncio.Event()
        self._told: dict[str, tuple[float, int]] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def listen_for(self, task: Task) -> None:
        """Listen from now on for what happens to a task whose main is not known to have ended."""
        if wants_events(task) and self._source.listen():
            self._covered.add(task.plan.jail_name)

    def _wanted(self) -> bool:
        return any(one.task.stopped_at_ns is None and wants_events(one.task) for one in self._tasks())

    def _changed(self, *, connected: bool) -> None:
        """Whoever still runs when a connection is made again is heard from then on."""
        living = [one.task for one in self._tasks() if connected and one.task.exit is None]
        self._covered = {task.plan.jail_name for task in living if wants_events(task)}

    def _matched(self, match: RuleMatched) -> None:
        living = next((one for one in self._tasks() if one.task.plan.jail_name == match.jail), None)
        if living is None:
            return
        _log.info("a limit was reached", task_id=living.task.id, resource=match.resource, pid=match.pid)
        kills = (match.resource, match.amount, match.per) in memory_limits(living.task)
        if kills:
            self._killed[match.jail].add(match.pid)
            self._news.set()
            self._news = asyncio.Event()
        main = living.task.main
        if kills and main is not None and main.pid == match.pid:
            return  # its exit says so
        self._tell(living, match, kills=kills)

    def _tell(self, living: Living, match: RuleMatched, *, kills: bool) -> None:
        """Give a notice; a rule that matches again and again gets one in a while, with a count."""
        rule = f"{match.jail}:{match.resource}:{match.amount}:{match.per}"
        now_s = asyncio.get_running_loop().time()
        last_s, missed = self._told.get(rule, (-_NOTICE_EVERY_S, 0))
        if now_s - last_s < _NOTICE_EVERY_S:
            self._told[rule] = (last_s, missed + 1)
            return
        self._told[rule] = (now_s, 0)
        what = "was killed at the memory limit" if kills else "reached a limit"
        more = f"; {missed} more before it" if missed else ""
        text = f"process {match.pid} of the task {what} ({match.resource} {match.amount}){more}"
        self._spawn(_notice(living, text))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        telling = asyncio.create_task(work)
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    def judge(self, task: Task, exited: ev.MainExited) -> ev.MainExited:
        """Return an end of main with what is known of its reason."""
        pid = task.main.pid if task.main is not None else None
        if exited.signal == _SIGKILL and pid in self._killed.get(task.plan.jail_name, ()):
            return replace(exited, oom_killed=True)
        return exited

    async def ask(self, task: Task, exited: ev.MainExited) -> ev.MainExited:
        """Return an end of main with its reason, which may come a moment later than the end itself."""
        deadline_s = asyncio.get_running_loop().time() + _GRACE_S
        while (judged := self.judge(task, exited)) is exited:
            left_s = deadline_s - asyncio.get_running_loop().time()
            if left_s <= 0 or exited.signal != _SIGKILL or task.plan.jail_name not in self._covered:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left_s)
        return judged

    def doubt(self, task: Task, exited: ev.MainExited) -> tuple[ev.NoticeGiven, ...]:
        """Say what is probable, where main was killed, a memory limit kills, and nobody has heard why."""
        if exited.oom_killed or task.plan.jail_name in self._covered:
            return ()
        return _doubt(task, exited, self._source.why_not)

    def missed(self, task: Task, exited: ev.MainExited | None) -> tuple[ev.NoticeGiven, ...]:
        """Say the same of an end that came while no plugin lived."""
        if exited is None or task.exit is not None:
            return ()
        self._covered.discard(task.plan.jail_name)
        return _doubt(task, exited, "the driver was not running then")

    def forget(self, task: Task) -> None:
        """Drop what is kept of a task that has stopped."""
        self._killed.pop(task.plan.jail_name, None)
        self._covered.discard(task.plan.jail_name)
        for rule in [rule for rule in self._told if rule.startswith(f"{task.plan.jail_name}:")]:
            del self._told[rule]

    def close(self) -> None:
        """Stop listening."""
        self._source.close()


def _doubt(task: Task, exited: ev.MainExited, why: str) -> tuple[ev.NoticeGiven, ...]:
    limits = ", ".join(f"{resource} {amount}" for resource, amount, _ in sorted(memory_limits(task)))
    asked = task.stop is not None or task.trigger is not None
    if not limits or asked or exited.signal != _SIGKILL:
        return ()
    text = f"main was killed by signal 9, probably at its memory limit ({limits}); nothing proves it: {why}"
    return (ev.NoticeGiven(text),)


async def _notice(living: Living, text: str) -> None:
    try:
        await living.settle(lambda _task: (ev.NoticeGiven(text),))
    except StoreError:
        _log.exception("cannot store a notice now", task_id=living.task.id, text=text)
