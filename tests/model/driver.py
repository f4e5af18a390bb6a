"""One life of the driver over the pure core, as ``jail_driver.engine`` lives it, cut into atomic acts.

``life`` yields after each act: at every yield the process may die. A second act that belongs to somebody else
(main ends, Nomad asks for a stop) is handed in as a choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from jail_driver.engine.durability import is_durable
from jail_driver.engine.results import exit_result
from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.decide import decide
from jail_state.core.lifecycle import State
from jail_state.core.plan import finished, plan
from jail_state.core.reconcile import Observation, Seen, StepSeen, reconcile
from jail_state.core.steps import Step, StepKind
from jail_state.core.task import Task
from model import effects
from model.world import BusyError, World

_TRIES = 6
_ENDLESS = 1000


class EndlessError(Exception):
    """A life that does not come to an end."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What others do in a life; acts are counted from 1, 0 is never.

    Args:
        repeats: Nomad repeats an unanswered StartTask after a crash.
        exits_at: main ends by itself with status 7 at this act.
        stops_at: Nomad asks for a stop at this act.
        forced: that stop is forced.
        fails: the step that the host refuses, by key.
    """

    repeats: bool = True
    exits_at: int = 0
    stops_at: int = 0
    forced: bool = False
    fails: str = ""


class Life:
    """The driver between two deaths."""

    def __init__(self, world: World, choices: Choices, bugs: frozenset[str] = frozenset()) -> None:
        self.w = world
        self.choices = choices
        self.bugs = bugs
        self.acts = 0
        self.launched = False
        self.doing: Step | None = None
        """The step whose intent is stored and whose effect is not there yet."""

    def run(self) -> Iterator[None]:
        """Live until there is nothing left to do."""
        w = self.w
        if w.task is not None and w.task.state is not State.STOPPED:
            yield from self._recover()
        if not w.asked or (not w.handle and self.choices.repeats and not w.destroyed):
            yield from self._start_task()
        while (task := w.task) is not None and task.state is not State.STOPPED:
            if not (yield from self._advance(task)):
                break
        if w.task is not None and w.task.state is State.STOPPED:
            yield from self._end(w.task)

    def _act(self) -> Iterator[None]:
        """Let time pass: others act, the watcher sees an exit record, and the process may die."""
        self.acts += 1
        if self.acts > _ENDLESS:
            raise EndlessError
        w, task = self.w, self.w.task
        if self.acts == self.choices.exits_at:
            w.end_main(7)
        if self.acts == self.choices.stops_at and task is not None and task.state is not State.STOPPED:
            self._apply(cmd.Stop("Nomad", "SIGTERM", 5.0, self.choices.forced))
        self._watch()
        yield

    def _watch(self) -> None:
        task, exited = self.w.task, effects.exited(self.w)
        if task is None or task.main is None or task.exit is not None or task.state is State.STOPPED:
            return
        if exited is not None:
            self._apply(cmd.RecordExit(exited))
        elif self.w.supervisor == "" and task.state is State.RUNNING:
            self._apply(cmd.Lose("its supervisor is gone and left no exit record", jail=False))

    def _apply(self, command: cmd.Command) -> None:
        if self.w.task is not None:
            self._commit(decide(self.w.task, command))

    def _commit(self, events: tuple[ev.Event, ...]) -> None:
        if events:
            durable = any(is_durable(event, self.w.task) for event in events) and "no-fsync" not in self.bugs
            self.w.commit(events, durable=durable)

    # -- Nomad's calls -------------------------------------------------------------------------

    def _start_task(self) -> Iterator[None]:
        w = self.w
        w.asked = True
        self.launched = True
        if w.task is not None:
            return
        self._commit((replace(w.plan, boot_id=f"boot-{w.boot}"),))
        yield from self._act()

    def _end(self, task: Task) -> Iterator[None]:
        result = exit_result(task)
        w = self.w
        code = 0 if "unknown-is-0" in self.bugs and result.error else result.exit_code
        w.truth.told = (*w.truth.told, (code, result.error))
        if not task.destroyed:
            yield from self._act()
            self._apply(cmd.Destroy())
            w.destroyed = True

    # -- the actor -----------------------------------------------------------------------------

    def _advance(self, task: Task) -> Iterator[None]:  # type: ignore[return]  # a generator with a value
        """Do the next thing; whether there was one."""
        if task.state is State.PENDING:
            self._apply(cmd.Begin())
            yield from self._act()
            return True
        step = plan(task)
        if step is None:
            if not finished(task):
                return (yield from self._idle())
            self._apply(cmd.Finish())
            yield from self._act()
            return True
        if task.state is State.PRESTART and not self.launched:
            self._apply(cmd.Lose("Nomad did not repeat the start", jail=False))
        else:
            yield from self._perform(step)
        return True

    def _idle(self) -> Iterator[None]:  # type: ignore[return]  # a generator with a value
        """The task is up: StartTask answers; then, at the latest, main ends."""
        w = self.w
        if w.task is None or w.task.state is not State.RUNNING:
            w.fault("nothing is planned for a task that is on its way")
            return False
        if not w.handle:
            w.handle = True
            yield from self._act()
        elif w.main is not None:
            w.end_main(7)
            yield from self._act()
        else:
            w.fault("the task is running and nothing of it lives")
            return False
        return True

    def _perform(self, step: Step) -> Iterator[None]:
        w = self.w
        seen = effects.before(w, step)
        if "effect-first" in self.bugs:
            effects.perform(w, self._task, step, self.bugs)
            yield from self._act()
        try:
            self._apply(cmd.Intend(step.key, seen))
        except Exception:  # noqa: BLE001  # a stop came in between: plan again
            return
        self.doing = step
        yield from self._act()
        outcome: cmd.Command = cmd.Abandon(step.key, "the deadline passed")
        if step.key == self.choices.fails:
            outcome = cmd.Fail(step.key, "the host refused")
        else:
            for _try in range(_TRIES):
                try:
                    outcome = cmd.Conclude(step.key, self._effect(step, seen))
                    break
                except (BusyError, effects.AgainError) as error:
                    if step in w.plan.steps:
                        outcome = cmd.Fail(step.key, str(error))
                        break
                    self._watch()
        self.doing = None
        yield from self._act()
        self._apply(outcome)
        yield from self._act()

    def _effect(self, step: Step, seen: effects.Result) -> effects.Result:
        w = self.w
        if step.kind is StepKind.ADDRESS and seen["present"]:
            return {"added": False}
        result = effects.perform(w, self._task, step, self.bugs)
        if step.kind is StepKind.SUPERVISOR_END and self._task.ever_ran and "files-first" not in self.bugs:
            exited = effects.exited(w)
            self._apply(
                cmd.RecordExit(exited)
                if exited is not None
                else cmd.Lose("its supervisor is gone and left no exit record", jail=False)
            )
        return result

    @property
    def _task(self) -> Task:
        assert self.w.task is not None
        return self.w.task

    # -- recovery ------------------------------------------------------------------------------

    def _recover(self) -> Iterator[None]:
        if "no-wait" not in self.bugs:
            self._land()
        verdict = reconcile(self._task, self._observation())
        if "no-wait" in self.bugs:
            self._land()
        if "no-teardown" in self.bugs:
            verdict = tuple(event for event in verdict if not isinstance(event, ev.TeardownBegan))
        if "boot-ignored" in self.bugs:
            verdict = tuple(event for event in verdict if not isinstance(event, ev.JailLost))
        self._commit(verdict)
        yield from self._act()

    def _land(self) -> None:
        """The command that outlived the last plugin ends."""
        w = self.w
        if w.command:
            step = self._task.step(w.command)
            w.command = ""
            record = self._task.records.get(step.key)
            if record is not None and not record.before.get("present"):
                with suppress(BusyError, effects.AgainError):
                    effects.perform(w, self._task, step, self.bugs)

    def _observation(self) -> Observation:
        w, task = self.w, self._task
        boot = f"boot-{w.boot}"
        flight = task.in_flight
        exited = effects.exited(w)
        if "record-ignored" in self.bugs or ("journal-knows-best" in self.bugs and not task.ever_ran):
            exited = None
        if boot != task.boot_id and "boot-ignored" not in self.bugs:
            doubt = StepSeen(Seen.UNKNOWN, reason="the host rebooted while it ran")
            return Observation(boot, False, False, None, exited, doubt if flight else None)
        seen = effects.observe(w, task, flight, self.bugs) if flight is not None else None
        if w.supervisor == "ordered":
            w.order()
        jail = effects.our_jail(w, task, self.bugs)
        return Observation(
            task.boot_id,
            jail_present=jail is not None and jail.dying is None,
            supervisor_alive=w.supervisor != "",
            main=w.identity,
            exited=exited,
            step=seen,
        )
