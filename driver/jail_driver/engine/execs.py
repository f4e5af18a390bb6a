"""Commands beside main: ``nomad alloc exec``, script checks, template scripts.

They run as main does: in its jail and directory, as its user, with its environment. The environment holds
secrets and is stored nowhere; the task's supervisor keeps it and tells it to whichever plugin asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jail_driver import log
from jail_driver.engine import private as private_file
from jail_driver.engine.environment import BASE_PATH, choose_user, inside_command, main_env, with_fib
from jail_driver.engine.exec_pumps import converse
from jail_driver.engine.lookup import find_program, resolve_inside
from jail_driver.engine.steps.process import reach
from jail_driver.errors import ConfigError, DriverError, HostError, reason
from jail_driver.host import session as sessions
from jail_driver.model import ExecOutcome, ExitResult
from jail_state.core.lifecycle import State

if TYPE_CHECKING:
    from jail_driver.engine.actor import TaskActor
    from jail_driver.engine.paths import TaskDir
    from jail_driver.service import ExecStream

_log = log.get("exec")
_OUTPUT_BYTES = 1 << 20
_SIGNAL_BASE = 128
_NOT_FOUND = 127
_RECOVERY_S = 5.0
_NOT_EXECUTABLE = 126
_RECORDS = "exec.*"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be run, and where it writes down that it runs."""

    argv: Sequence[str]
    env: Mapping[str, str]
    record: Path


class MissingProgramError(DriverError):
    """A command that cannot be run; ``code`` is what a shell would answer (sh(1): 126 and 127)."""

    def __init__(self, code: int, why: str) -> None:
        self.code = code
        super().__init__(why)


async def run(actor: TaskActor, argv: Sequence[str], timeout_s: float) -> ExecOutcome:
    """Run a command to its end; the last megabyte of each output is kept.

    Args:
        actor: the task's.
        argv: a program, by path or by name through the task's PATH, and its arguments.
        timeout_s: after this it is killed with its process group; 0: never.

    Raises:
        DriverError: nothing can be run in this task now.
    """
    try:
        prepared = await prepare(actor, argv, tty=False)
    except MissingProgramError as error:
        return ExecOutcome(b"", f"{error}\n".encode(), ExitResult(error.code))
    try:
        done = await actor.runtime.runner.run(
            sessions.led(prepared.argv, prepared.env, prepared.record, tty=False),
            env=prepared.env,
            timeout_s=timeout_s if timeout_s > 0 else None,
            output_limit_bytes=_OUTPUT_BYTES,
            kill_on_cancel=True,
        )
    except HostError as error:
        raise DriverError(f"cannot run a command in the task: {error.why}") from error
    finally:
        prepared.record.unlink(missing_ok=True)
    stderr = done.stderr
    if done.timed_out:
        stderr += f"killed: it took longer than {timeout_s:g} s\n".encode()
    status = -(done.signal or 0) if done.status is None else done.status
    return ExecOutcome(done.stdout, stderr, result_of(status))


async def stream(actor: TaskActor, argv: Sequence[str], *, tty: bool, stream: ExecStream) -> ExitResult:
    """Run a command with its streams connected until it ends, or until the caller is gone.

    Raises:
        DriverError: nothing can be run in this task now.
    """
    try:
        prepared = await prepare(actor, argv, tty=tty)
    except MissingProgramError as error:
        name, end = ("stdout", "\r\n") if tty else ("stderr", "\n")
        await stream.send(name, f"{error}{end}".encode())
        return ExitResult(error.code)
    try:
        session = sessions.Session(prepared.argv, prepared.env, prepared.record, tty=tty)
    except (OSError, RuntimeError) as error:
        raise _not_run(error) from error
    try:
        await converse(session, stream)
        return result_of(await session.wait())
    except (OSError, RuntimeError) as error:
        raise _not_run(error) from error
    finally:
        # Cancelled means that the caller is gone; ending the command must not be cancelled with it.
        await asyncio.shield(asyncio.ensure_future(session.end()))


def _not_run(error: OSError | RuntimeError) -> DriverError:
    """Return what to say of a command that could not be started: no descriptors, no processes, too much text."""
    return DriverError(f"cannot run a command in the task: {reason(error)}")


async def prepare(actor: TaskActor, argv: Sequence[str], *, tty: bool) -> Prepared:
    """Find out how a command is run beside main.

    Raises:
        MissingProgramError: no such program in the jail.
        DriverError: the task does not run, or what is needed is not known any more.
    """
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(actor.recovered.wait(), _RECOVERY_S)
    task, context = actor.task, actor.context
    if task.state is not State.RUNNING or task.jid is None:
        raise DriverError(f"cannot run a command in a task that is {task.state}")
    if not argv or not argv[0]:
        raise ConfigError("exec: there is no command to run")
    if any("\0" in one for one in argv):
        raise ConfigError("exec: an argument holds a NUL character, which no argument of a command can carry")
    private = context.private or private_file.read(context.directory.private)
    if private is None:
        raise DriverError("cannot run a command: the task's private file is gone")
    root = context.directory.root
    run_as = choose_user(private.user, root, on_host=private.system_jail_user)
    env = main_env(await _environment(actor), run_as.account)
    if tty:
        env.setdefault("TERM", "xterm")
    _check_program(root, argv[0], env.get("PATH", BASE_PATH), private.work_dir)
    inside, environment = inside_command(
        context.tools.jexec, task.jid, run_as, argv, env, root, work_dir=private.work_dir
    )
    inside = with_fib(inside, context.tools.setfib, private.fib)
    context.directory.locks.mkdir(mode=0o700, exist_ok=True)
    record = context.directory.locks / _RECORDS.replace("*", uuid.uuid4().hex)
    return Prepared(inside, environment, record)


async def _environment(actor: TaskActor) -> Mapping[str, str]:
    try:
        async with reach(actor.context) as supervisor:
            env = await supervisor.environment()
    except (OSError, EOFError) as error:
        raise DriverError("cannot run a command: the task has just ended") from error
    if env is None:
        raise DriverError(
            "cannot run a command: the task was started by an older version of the driver, and its environment"
            " is not known any more; restart the task"
        )
    return env


def _check_program(root: Path, program: str, search: str, work_dir: str) -> None:
    if work_dir and "/" in program and not program.startswith("/"):
        program = f"{work_dir}/{program}"
    if find_program(root, program, search) is not None:
        return
    if "/" not in program:
        raise MissingProgramError(_NOT_FOUND, f"{program}: not found in the jail's PATH {search}")
    if resolve_inside(root, program) is None:
        raise MissingProgramError(_NOT_FOUND, f"{program}: no such program in the jail")
    raise MissingProgramError(_NOT_EXECUTABLE, f"{program}: not an executable file in the jail")


def result_of(status: int) -> ExitResult:
    """Return how a command ended; a signal is told twice, as 128+n and as n.

    >>> result_of(-9).exit_code
    137
    """
    if status < 0:
        return ExitResult(_SIGNAL_BASE - status, signal=-status)
    return ExitResult(status)


def end_orphans(directory: TaskDir) -> int:
    """Kill what a killed plugin left running beside main: nobody hears it any more.

    To be called in the boot in which the task was started, by a plugin that has run nothing in it yet.
    """
    killed = 0
    with contextlib.suppress(OSError):
        killed = sum(sessions.end_orphan(record) for record in directory.locks.glob(_RECORDS))
    if killed:
        _log.info("ended commands that the last plugin ran", directory=str(directory.path), count=killed)
    return killed
