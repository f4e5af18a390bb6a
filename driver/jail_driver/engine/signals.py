"""Signals by name: to main while it lives, else to every process of the jail.

The names are FreeBSD's (signal(3)). Where the interpreter is a Linux one, under FreeBSD's Linux ABI, a few of
them have no number that it could send; FreeBSD's own pkill(1) sends those.
"""

from __future__ import annotations

import signal as numbers
from typing import TYPE_CHECKING

from jail_driver.engine.steps.process import reach
from jail_driver.errors import ConfigError, DriverError, HostError
from jail_driver.host.jails import pkill_flag
from jail_driver.supervisor import ending
from jail_state.core import events as ev
from jail_state.core.lifecycle import State

if TYPE_CHECKING:
    from jail_driver.engine.actor import TaskActor

NAMES = frozenset(f"SIG{name}" for name in ending.FREEBSD.split())


def canonical(name: str) -> str:
    """Return a signal's full name.

    >>> canonical("hup"), canonical("SIGUSR1")
    ('SIGHUP', 'SIGUSR1')

    Raises:
        ConfigError: FreeBSD has no such signal.
    """
    upper = name.strip().upper()
    full = upper if upper.startswith("SIG") else f"SIG{upper}"
    if full not in NAMES:
        known = ", ".join(sorted(NAMES))
        raise ConfigError(f'"{name}": no such signal; FreeBSD has {known}')
    return full


async def send(actor: TaskActor, name: str) -> None:
    """Send a signal to a running task.

    Raises:
        ConfigError: FreeBSD has no such signal.
        DriverError: the task does not run, or the host refused.
    """
    full = canonical(name)
    task = actor.task
    if task.state is not State.RUNNING or task.jid is None:
        raise DriverError(f"cannot signal a task that is {task.state}")
    try:
        async with reach(actor.context) as supervisor:
            status = await supervisor.status()
            if status.main_pid is None or status.exited is not None:
                await _to_all(actor, full, task.jid)
            elif full in numbers.Signals.__members__:
                if refused := await supervisor.signal(full):
                    raise DriverError(f"signal {full}: {refused}")
            else:
                await _to_main(actor, full, task.jid, status.main_pid)
    except (OSError, EOFError) as error:
        raise DriverError(f"signal {full}: the task has just ended") from error
    await actor.settle(lambda _task: (ev.SignalSent(full),))


async def _to_all(actor: TaskActor, name: str, jid: int) -> None:
    if not await actor.runtime.host.kill_processes(jid, name):
        raise DriverError(f"signal {name}: there is no process in the jail")


async def _to_main(actor: TaskActor, name: str, jid: int, pid: int) -> None:
    """Send it by pkill(1), which finds main by jail and pid together: a pid alone may be another's by now."""
    locks = actor.context.directory.locks
    locks.mkdir(mode=0o700, exist_ok=True)
    note = locks / "main.pid"
    note.write_text(f"{pid}\n")
    runtime = actor.runtime
    argv = [runtime.tools.pkill, pkill_flag(name), "-j", str(jid), "-F", str(note)]
    done = await runtime.runner.run(argv, timeout_s=10)
    if not done.ok:
        raise HostError(f"signal {name}", f"this host cannot send it to main: {done.words}")


async def kill_signal(actor: TaskActor, name: str, default: str) -> str:
    """Return the signal of a stop. A name that means nothing is told, and does not keep a task from ending.

    Nomad gives up after five refusals and leaves the task behind (client/allocrunner/taskrunner), so a
    refusal would only make a typing error in a job into a task that nobody can stop.
    """
    if not name:
        return default
    try:
        return canonical(name)
    except ConfigError as error:
        if actor.task.state is not State.STOPPED:
            text = f"kill_signal = {error}; {default} is sent instead"
            await actor.settle(lambda _task: (ev.NoticeGiven(text),))
        return default
