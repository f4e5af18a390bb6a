"""One schedule of the process sweep: a real task on the stand-ins, real kills, and what must hold after."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import ExitResult, Handle, TaskSpec
from jail_state.core.ids import jail_name
from jail_state.core.lifecycle import State
from jail_state.core.steps import Progress
from jail_state.store.errors import StoreError
from nomad.system import eventually_equal

HOST_HOOKS = ("prepare", "prestart", "created", "poststart", "prestop", "poststop", "release")
EXITS, TERMINATED = 7, 9
RULES = 12
"""How many rules ``Run.broken`` checks."""
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Kill:
    """One death.

    Args:
        point: of ``jail_driver.engine.faults.Point``, or "during": while the step's command is held.
        step: the step's key; ``*`` is any.
        nth: which match counts.
        command: for "during", the jail tool that is held, with a text among its arguments.
        victim: "plugin", "helper" or "supervisor".
    """

    point: str
    step: str
    nth: int = 1
    command: tuple[str, str] = ("", "")
    victim: str = "plugin"

    def __str__(self) -> str:
        if self.point == "during":
            return f"{self.victim} during {' '.join(self.command)}"
        count = f" #{self.nth}" if self.nth > 1 else ""
        return f"{self.victim} {self.point} {self.step}{count}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is killed when.

    Args:
        kills: one for each life of the plugin; the last life is spared.
        course: "exit": main ends by itself with 7; "stop": Nomad stops it and main ends with 9;
            "destroy": forced.
        repeats: whether Nomad repeats an interrupted StartTask.
        vnet: the task has a network stack of its own, and hooks that make its interface.
    """

    kills: tuple[Kill, ...] = ()
    course: str = "exit"
    repeats: bool = True
    vnet: bool = False

    def __str__(self) -> str:
        kind = "-vnet" if self.vnet else ""
        end = "" if self.repeats else ", not repeated"
        return f"{self.course}{kind}: {'; '.join(map(str, self.kills)) or 'no kill'}{end}"


@dataclass(slots=True)
class Run:
    """A schedule that is being carried out on a host."""

    host: rig.Host
    schedule: Schedule
    spec: TaskSpec = field(init=False)
    before: Mapping[str, Any] = field(init=False)
    handle: Handle | None = None
    told: list[ExitResult] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """What was noticed on the way."""
    faults: list[str] = field(default_factory=list)
    """What is wrong with the schedule itself."""

    def __post_init__(self) -> None:
        self.before = self.host.snapshot()
        spec = self.host.spec()
        self.spec = replace(spec, config={**spec.config, **self._config(Path(spec.alloc_dir, "alloc"))})

    def _config(self, shared: Path) -> dict[str, Any]:
        config: dict[str, Any] = {
            f"Exec_{hook}": f"echo exec.{hook} >> {shared}/hooks" for hook in HOST_HOOKS
        }
        config["Exec_stop"] = "echo exec.stop >> /alloc/hooks"
        config["Exec_start"] = (
            f"echo $$ >> /alloc/runs; trap 'exit {TERMINATED}' TERM; {rig.UNTIL_TOLD}; exit {EXITS}"
        )
        config["Rctl"] = {"Openfiles": {"Action": "deny", "Amount": "500"}}
        config["Mount_devfs"] = True
        if self.schedule.vnet:
            ifconfig = self.host.tools / "ifconfig"
            config |= {"Vnet": True, "Vnet_nic": "epair9b"}
            config["Exec_prestart"] += f"; {ifconfig} epair9 create"
            config["Exec_poststop"] += f"; {ifconfig} epair9a destroy"
        else:
            config["Ip4_addr"] = "em1|192.168.1.102"
        return config

    # -- the lives -----------------------------------------------------------------------------------

    async def carry_out(self) -> None:
        """Live through all kills and to the end."""
        for kill in (*self.schedule.kills, None):
            self._prepare(kill)
            plugin = await rig.launch(self.host, recovery_wait="1s", kill_timeout="3s")
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await self._life(plugin, kill)
            except (PluginError, OSError, EOFError) as error:
                self.seen.append(repr(error))
            finally:
                self._release()
                self._note(kill)
                if kill is None and plugin.process.status is None:
                    await plugin.client.shutdown()
                    await plugin.process.end()
                else:
                    await plugin.kill()
                await plugin.client.close()

    def _prepare(self, kill: Kill | None) -> None:
        self.host.barriers()
        for path in (self.host.faults, self.host.faults.with_suffix(".fired")):
            path.unlink(missing_ok=True)
        if kill is None:
            return
        if kill.point == "during":
            command, text = kill.command
            announce = str(self.host.base / "held")
            self.host.barriers({"command": command, "match": text, "announce": announce})
            return
        act = {"do": "kill"} if kill.victim == "plugin" else {"do": "delay", "seconds": 0.5}
        self.host.plan_faults({"point": kill.point, "step": self._key(kill.step), "nth": kill.nth, **act})

    def _key(self, step: str) -> str:
        """Return a step's key; a limit's holds the jail's name, and the task has only one."""
        if step != "rule *":
            return step
        return f"rule jail:{jail_name(self.spec.id, self.spec.name)}:openfiles:deny=500"

    def _note(self, kill: Kill | None) -> None:
        """A named kill that did not happen tests nothing: it is a fault of the schedule."""
        if kill is None or (kill.step == "*" and kill.point != "during"):
            return
        fired = self.host.faults.with_suffix(".fired").exists() or kill.point == "during"
        if not fired or (kill.point == "during" and "held and killed" not in self.seen):
            self.faults.append(f"the schedule never came to: {kill}")

    def _release(self) -> None:
        (self.host.base / "held").unlink(missing_ok=True)

    async def _life(self, plugin: rig.Plugin, kill: Kill | None) -> None:
        killer = asyncio.create_task(self._kill(plugin, kill)) if kill is not None else None
        try:
            await self._nomad(plugin)
        finally:
            if killer is not None:
                killer.cancel()
                with suppress(asyncio.CancelledError):
                    await killer

    async def _nomad(self, plugin: rig.Plugin) -> None:
        """What the agent does in a life: start or recover, wait or stop, destroy."""
        client, task_id = plugin.client, self.spec.id
        if self.handle is None and (self.schedule.repeats or not self.host_knows()):
            self.handle = (await plugin.start(self.spec)).handle
        elif self.handle is not None:
            await client.recover(self.handle)
        end = Path(self.spec.alloc_dir, "alloc/end")
        if self.schedule.course != "exit":
            await self._until_main_is_inside()
        match self.schedule.course:
            case "exit":
                end.touch()
            case "stop" if self.handle is not None:
                await client.stop(task_id, timeout_s=5.0, signal="SIGTERM")
            case "destroy" if self.handle is not None:
                await client.destroy(task_id, force=True)
                return
            case _:
                end.touch()  # Nomad does not know of the task, and a task that runs is not ended for that
        self.told.append(await client.wait(task_id))
        await client.destroy(task_id)

    async def _until_main_is_inside(self) -> None:
        """A stop that comes before main has set its trap would tell nothing of the status."""
        runs = Path(self.spec.alloc_dir, "alloc/runs")
        for _ in range(400):
            task = self.host.task(self.spec.id) if self.host_knows() else None
            if runs.exists() or task is None or task.state is not State.RUNNING:
                return
            await asyncio.sleep(0.02)

    def host_knows(self) -> bool:
        """Whether the journal has a stream of the task."""
        try:
            return bool(self.host.history(self.spec.id))
        except StoreError:
            return False

    async def _kill(self, plugin: rig.Plugin, kill: Kill) -> None:
        if kill.point == "during":
            held = self.host.base / "held"
            while not held.exists():  # noqa: ASYNC110  # another process makes the file
                await asyncio.sleep(0.005)
            os.kill(plugin.process.pid, signal.SIGKILL)
            self.seen.append("held and killed")
        elif kill.victim != "plugin":
            while not self.host.faults.with_suffix(".fired").exists():  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.005)
            for pid in self._victims(kill.victim):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.seen.append(f"killed {kill.victim} {pid}")

    def _victims(self, victim: str) -> list[int]:
        helpers = rig.fork_helpers()
        mine = [pid for pid, argv in self.host.ours() if "fork_helper" in argv]
        return [pid for pid in mine if (pid in helpers) == (victim == "helper")]

    # -- the verdict ---------------------------------------------------------------------------------

    def broken(self) -> Iterator[str]:
        """Yield the rules that do not hold, in words."""
        try:
            eventually_equal("the host", self.host.snapshot, self.before, timeout_s=25)
        except AssertionError as error:
            yield str(error)
        task = self.host.task(self.spec.id)
        if task.state is not State.STOPPED or task.in_flight is not None or task.leftovers:
            yield f"the journal ends in {task.state}, in flight {task.in_flight}, left over {task.leftovers}"
        shared = Path(self.spec.alloc_dir, "alloc")
        runs = _lines(shared / "runs")
        if len(runs) > 1:
            yield f"main ran {len(runs)} times"
        if task.started_at_ns is not None and not runs and not self._supervisor_died:
            yield "the journal says that main ran, and it did not"
        hooks = Counter(_lines(shared / "hooks"))
        yield from (f"{hook} ran {times} times" for hook, times in hooks.items() if times > 1)
        for up, down in (("exec.prepare", "exec.release"), ("exec.prestart", "exec.poststop")):
            unknown = task.progress(f"{down}[0]") is Progress.UNKNOWN
            if hooks[up] and not hooks[down] and not unknown:
                yield f"{up} ran and {down} did not"
        yield from self._status_is_true(ran=bool(runs))

    @property
    def _supervisor_died(self) -> bool:
        return any("killed supervisor" in text for text in self.seen)

    def _status_is_true(self, *, ran: bool) -> Iterator[str]:
        for result in self.told:
            if result.exit_code == 0:
                yield f"WaitTask said 0: {result}"
            known = result.exit_code in (EXITS, TERMINATED) and not result.error
            honest = bool(result.error) or result.exit_code in (128 + 9, 128 + 15)
            if ran and not self._supervisor_died and not known and not self._was_cut(result):
                yield f"main ran, and WaitTask said {result}"
            if not ran and not honest:
                yield f"main did not run, and WaitTask said {result}"
        if len(set(map(repr, self.told))) > 1:
            yield f"WaitTask changed its mind: {self.told}"

    def _was_cut(self, result: ExitResult) -> bool:
        """Whether main was rightly killed outright: the signal met it before its trap, or it was forced."""
        return result.signal in (signal.SIGTERM, signal.SIGKILL)


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def carry_out(host: rig.Host, schedule: Schedule) -> list[str]:
    """Carry out one schedule on a host; the rules that it broke, none if all is well."""
    return carry_out_run(Run(host, schedule))


def carry_out_run(run: Run) -> list[str]:
    """Carry out a schedule that was made ready; the rules that it broke."""
    try:
        asyncio.run(run.carry_out())
    except TimeoutError:
        run.seen.append("timeout")
        return [f"it hung: {run.seen}"]
    broken = [*run.faults, *run.broken()]
    return [f"{text} (seen: {run.seen})" for text in broken]
