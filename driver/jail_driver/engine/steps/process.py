"""Supervisor and main: started once, watched, stopped, and gone before the jail is removed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import Any

from typing_extensions import override

from jail_driver import log
from jail_driver.backoff import happens
from jail_driver.config.model import Command
from jail_driver.engine import fifos
from jail_driver.engine.environment import choose_user, inside_command, main_env, with_fib
from jail_driver.engine.steps.base import Context, Handler, Launch, Result
from jail_driver.errors import DriverError, HostError
from jail_driver.supervisor import ending, records
from jail_driver.supervisor.client import SupervisorClient
from jail_driver.supervisor.procid import ProcessId
from jail_driver.supervisor.records import ExitRecord, MainEnd
from jail_state.core import commands as cmd
from jail_state.core.events import MainExited
from jail_state.core.lifecycle import State
from jail_state.core.reconcile import Seen, StepSeen
from jail_state.core.steps import Step

_log = log.get("engine")
_REAPED_S = 0.5
_TRIES = 20
_END_S = 5.0
_SETUP_POLL_S = 0.1


def identity_result(process: ProcessId) -> dict[str, Any]:
    """Return a process identity as a step's result."""
    return {"pid": process.pid, "started_ticks": process.started_ticks, "boot_id": process.boot_id}


def exited_of(record: ExitRecord | MainEnd) -> MainExited:
    """Return a supervisor's exit record as the event that it becomes."""
    if record.signal == ending.UNTOLD:
        why = f"main was killed by {ending.name_of(record.signal)}"
        return MainExited(exit_code=0, ended_at_ns=record.ended_at_ns, unknown_because=why)
    return MainExited(exit_code=record.exit_code, signal=record.signal, ended_at_ns=record.ended_at_ns)


def exited_by_kernel(ctx: Context) -> MainExited | None:
    """Return main's end as the kernel tells it; None if main lives, or the kernel does not tell."""
    main = ctx.task.main
    status = ctx.exits.status(main.pid) if main is not None else None
    if status is None:
        return None
    # In the kernel's own numbers: whoever tells it is no Linux program on FreeBSD.
    signal = ending.signal_of(status, 0, translated=False)
    code = 0 if signal else os.waitstatus_to_exitcode(status)
    return MainExited(code, signal, ended_at_ns=time.time_ns())


def reach(ctx: Context) -> SupervisorClient:
    """Return the way to the task's supervisor, whichever plugin started it."""
    return SupervisorClient(ctx.directory.socket)


class Supervisor(Handler):
    """Forks the task's supervisor; it starts nothing before it is told to go."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        if ctx.launch is None:
            raise HostError("start the task", "the driver restarted and Nomad did not repeat StartTask")
        ctx.directory.supervisor.mkdir(mode=0o700, exist_ok=True)
        ctx.directory.socket.parent.mkdir(mode=0o700, exist_ok=True)
        ctx.launched = await ctx.helper.spawn(ctx.directory.supervisor, ctx.directory.socket)
        return identity_result(ctx.launched.identity)

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        # Its go channel ended with the plugin: it starts nothing and exits.
        if await wait_supervisor_gone(ctx, _END_S):
            return StepSeen(Seen.NOT_DONE, reason="it ended before it was told to go")
        return StepSeen(Seen.UNKNOWN, reason="a supervisor that was never told to go does not end")


class Main(Handler):
    """Tells the supervisor to go: the commands before the last run to completion, the last is main."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        if ctx.launch is None or ctx.launched is None or ctx.private is None or ctx.task.jid is None:
            raise HostError("start main", "the supervisor is gone")
        order = self._order(ctx, ctx.launch, ctx.task.jid)
        # Told to go, it may run whatever becomes of this call; before, nothing does (see MainStop).
        launched, ctx.launched = ctx.launched, None
        main = await launched.go(order)
        if main is None:
            return {}
        ctx.exits.watch(main)
        return identity_result(main)

    def _order(self, ctx: Context, launch: Launch, jid: int) -> dict[str, Any]:
        private = ctx.private
        if private is None:
            raise HostError("start main", "the task's private file is gone")
        root = ctx.directory.root
        run_as = choose_user(private.user, root, on_host=private.system_jail_user)
        env = main_env(launch.env, run_as.account)
        for path in (launch.stdout_path, launch.stderr_path):
            fifos.give(path, ctx.task.plan.alloc_dir, run_as.account.uid)
        last = len(private.start) - 1

        def inside(index: int, command: Command) -> dict[str, Any]:
            text = ("/bin/sh", "-c", command.text) if command.background else command.argv
            argv, environment = inside_command(
                ctx.tools.jexec, jid, run_as, text, env, root, work_dir=private.work_dir
            )
            argv = with_fib(argv, ctx.tools.setfib, private.fib)
            timeout_s = private.hook_timeout_s or None if index < last else None
            name = f"Exec_start[{index}]" if last else "Exec_start"
            return {"argv": argv, "env": environment, "cwd": "/", "timeout_s": timeout_s, "text": name}

        commands = [inside(index, command) for index, command in enumerate(private.start)]
        return {
            "setup": commands[:-1],
            "main": commands[-1] if commands else None,
            "persist": ctx.task.plan.persist,
            "stdout": launch.stdout_path,
            "stderr": launch.stderr_path,
            "consolelog": private.consolelog or None,
            "environment": dict(launch.env),
        }

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        """Ask the supervisor, which goes on without the plugin: it may still be at the setup commands."""
        directory = ctx.directory.supervisor
        while records.alive(directory):
            if ctx.task.state is State.PRESTOP:
                return StepSeen(Seen.UNKNOWN, reason="a stop was asked for while it was being started")
            with contextlib.suppress(OSError, EOFError):
                async with reach(ctx) as supervisor:
                    status = await supervisor.status()
                if status.started or status.start_failed:
                    break
            await asyncio.sleep(_SETUP_POLL_S)
        failure = records.read_failure(directory)
        if failure is not None:
            return StepSeen(Seen.UNKNOWN, reason=failure.error)
        identity = records.read_identity(directory)
        if identity is None:
            return StepSeen(Seen.NOT_DONE, reason="its supervisor ended before it was told to go")
        if identity.main is not None:
            return StepSeen(Seen.DONE, identity_result(identity.main))
        if records.alive(directory) or records.read_exit(directory) is not None:
            return StepSeen(Seen.DONE)  # a persistent task without a main
        return StepSeen(
            Seen.UNKNOWN, reason="its supervisor is gone and did not say whether main was started"
        )


class MainStop(Handler):
    """kill_signal to main while it lives, else to every process of the jail; then kill_timeout.

    The time-out counts from the signal, over a restart of the plugin too.
    """

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        if ctx.launched is not None:
            ctx.launched.abort()  # never told to go: nobody is there to be asked, or to be given time
            return {"signal": ""}
        task = ctx.task
        signal = task.stop.signal if task.stop and task.stop.signal else task.plan.stop_signal
        timeout_s = task.stop.timeout_s if task.stop else task.plan.stop_timeout_s
        if not records.alive(ctx.directory.supervisor):
            return {"signal": ""}
        spent_s = (time.time_ns() - task.records[step.key].started_at_ns) / 1e9
        left_s = max(0.0, timeout_s - max(0.0, spent_s))
        with contextlib.suppress(OSError, EOFError):
            async with reach(ctx) as supervisor:
                await supervisor.end()
                status = await supervisor.status()
                if status.all_gone or left_s == 0:
                    return {"signal": ""}
                await self._signal(ctx, supervisor, signal, main_lives=status.exited is None)
                gone = asyncio.ensure_future(supervisor.wait_gone())
                graceful = await _either(gone, ctx.force, left_s)
                return {"signal": signal, "graceful": graceful}
        return {"signal": ""}

    async def _signal(
        self, ctx: Context, supervisor: SupervisorClient, signal: str, *, main_lives: bool
    ) -> None:
        # Main may have ended just now: then what it left behind is asked to end.
        if main_lives and ctx.task.main is not None and not await supervisor.signal(signal):
            return
        seen = await ctx.jail()
        if seen is None:
            return
        try:
            await ctx.host.kill_processes(seen.jid, signal)
        except DriverError as error:
            # A signal that this host does not have must not keep the task from ending: kill_timeout goes on.
            _log.warning("the kill signal was not sent", task_id=ctx.task.id, error=str(error))


async def _either(gone: asyncio.Future[Any], force: asyncio.Event | None, timeout_s: float) -> bool:
    """Wait for the end, for somebody's force, or for the time: True if it was the end."""
    forced = asyncio.ensure_future(force.wait()) if force is not None else None
    waits: list[asyncio.Future[Any]] = [gone] if forced is None else [gone, forced]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return gone.done() and gone.exception() is None
    finally:
        for one in (gone, forced):
            if one is not None and not one.done():
                one.cancel()


class ProcessesKill(Handler):
    """``pkill -9 -j JID`` until nothing is left: ``jail -R`` itself would wait 10 s for who ignores TERM."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        seen = await ctx.jail()
        if seen is None or seen.dying:
            return {}
        if await ctx.host.kill_processes(seen.jid, "SIGKILL", lock=ctx.lock(step)):
            raise HostError("kill what is left in the jail", "processes were still there")
        return {}


class SupervisorEnd(Handler):
    """Waits until the supervisor has reaped everything and written its record."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        launched, ctx.launched = ctx.launched, None
        if launched is not None:
            launched.abort()
        if records.alive(ctx.directory.supervisor):
            # It may be ending just now, or never have got as far as its socket.
            with contextlib.suppress(OSError, EOFError):
                async with reach(ctx) as supervisor:
                    await supervisor.end()
        if not await wait_supervisor_gone(ctx, _END_S):
            raise HostError("wait for the supervisor to end", "it still has processes to reap")
        # Its record goes with the task's files: it must be an event before.
        exited = await _last_word(ctx, step)
        if exited is not None:
            await ctx.apply(cmd.RecordExit(ctx.evidence.judge(ctx.task, exited)))
        elif launched is None and records.read_failure(ctx.directory.supervisor) is None:
            await ctx.apply(cmd.Lose("its supervisor is gone and left no exit record", jail=False))
        return {}


async def _last_word(ctx: Context, step: Step) -> MainExited | None:
    """Return how main ended; where its supervisor was killed, see to it that it does."""
    record = records.read_end(ctx.directory.supervisor)
    if record is not None:
        return exited_of(record)
    main = ctx.task.main
    if main is None or not ctx.exits.watches(main.pid):
        return None
    # It may still have been on its way into the jail, by jexec(8), when everything in there was killed; and whoever
    # has adopted it must reap it before the kernel tells.
    for _ in range(_TRIES):
        if await happens(lambda: ctx.exits.status(main.pid) is not None, _REAPED_S, most_s=0.1):
            break
        seen = await ctx.jail()
        if seen is not None and not seen.dying:
            await ctx.host.kill_processes(seen.jid, "SIGKILL", lock=ctx.lock(step))
    return exited_by_kernel(ctx)


async def wait_supervisor_gone(ctx: Context, timeout_s: float) -> bool:
    """Wait until nobody holds the supervisor's lock; False at the bound."""
    return await happens(lambda: not records.alive(ctx.directory.supervisor), timeout_s, most_s=0.2)
