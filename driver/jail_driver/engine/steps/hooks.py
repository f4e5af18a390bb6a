"""Hooks: jail(8)'s names, order, user, environment and working directory, as recorded.

The base environment is built, never inherited: the agent's holds tokens. So ``exec.clean`` has nothing to
drop. Host hooks get JNAME and JPATH, and JID once the jail exists.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from typing_extensions import override

from jail_driver.config.model import Command
from jail_driver.engine.environment import (
    ROOT,
    Account,
    choose_user,
    inside_command,
    main_env,
    with_fib,
)
from jail_driver.engine.redact import redact
from jail_driver.engine.steps.base import Context, Handler, Result
from jail_driver.errors import HostError
from jail_driver.host import accounts, inflight
from jail_driver.host.command import Completed
from jail_state.core.reconcile import Seen, StepSeen
from jail_state.core.steps import Step

_INSIDE = "exec.stop"
_SHELL = "/bin/sh"
_TAIL_CHARS = 400
_HOOK_PATH = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


class Hook(Handler):
    """Runs one command of one hook, at most once, bounded in time, its end recorded."""

    @override
    async def before(self, ctx: Context, step: Step) -> Result:
        inflight.prepare(ctx.lock(step))
        return {}

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        if ctx.private is None:
            raise HostError(
                step.key, f"{ctx.directory.private} is gone or damaged, and the command's text with it"
            )
        command = ctx.private.hooks[step.args["hook"]][step.args["index"]]
        timeout_s = ctx.private.hook_timeout_s or None
        if step.args["hook"] == _INSIDE:
            done = await self._inside(ctx, step, command, timeout_s)
        else:
            done = await self._outside(ctx, step, command, timeout_s)
        said = redact(tail(done), ctx.private.secrets)
        if not done.ok:
            after = f" after {timeout_s:g} s" if done.timed_out and timeout_s else ""
            raise HostError(f"{step.key} {done.ending}{after}", said or "it printed nothing")
        return {"status": 0, "output": said}

    @override
    async def observe(self, ctx: Context, step: Step, before: Result) -> StepSeen:
        if not inflight.has_begun(ctx.lock(step)):
            return StepSeen(Seen.NOT_DONE, reason="the driver stopped before it began")
        return StepSeen(Seen.UNKNOWN, reason="the driver stopped while it ran, and a hook is not run twice")

    async def _outside(
        self, ctx: Context, step: Step, command: Command, timeout_s: float | None
    ) -> Completed:
        private = ctx.private
        user = private.system_user if private else ""
        account = host_account(user)
        env = hook_env(account, str(ctx.tools.path_directory or ""))
        env |= {"JNAME": ctx.task.plan.jail_name, "JPATH": str(ctx.directory.root)}
        if ctx.task.jid is not None:
            env["JID"] = str(ctx.task.jid)
        return await ctx.runner.run(
            _argv(command, env["PATH"], ctx.tools.sh, step.key),
            lock=ctx.lock(step),
            timeout_s=timeout_s,
            env=env,
            user=user or None,
            kill_on_cancel=True,
        )

    async def _inside(self, ctx: Context, step: Step, command: Command, timeout_s: float | None) -> Completed:
        private = ctx.private
        if private is None or ctx.task.jid is None:
            raise HostError(step.key, "there is no jail to run it in")
        run_as = choose_user(private.user, ctx.directory.root, on_host=private.system_jail_user)
        text = command.argv if not command.background else (_SHELL, "-c", command.text)
        argv, env = inside_command(
            ctx.tools.jexec,
            ctx.task.jid,
            run_as,
            text,
            main_env({}, run_as.account),
            ctx.directory.root,
            work_dir=private.work_dir,
        )
        argv = with_fib(argv, ctx.tools.setfib, private.fib)
        done = await ctx.runner.run(
            argv, lock=ctx.lock(step), timeout_s=timeout_s, env=env, kill_on_cancel=True
        )
        if private.consolelog:
            append(Path(private.consolelog), done.stdout + done.stderr)
        return done


def host_account(user: str) -> Account:
    """Return the account that host hooks run as: root, or ``exec.system_user``."""
    if not user:
        return ROOT
    found = accounts.find(user)
    if found is None:
        raise HostError(f'Exec_system_user = "{user}"', "no such user on the host")
    return Account(*found)


def hook_env(account: Account, prefix: str) -> dict[str, str]:
    """Return what jail(8) gives a hook (its setusercontext), the jail tools' directory first if not FreeBSD's."""
    path = f"{_HOOK_PATH}:{account.home.rstrip('/')}/bin"
    return {
        "BLOCKSIZE": "K",
        "HOME": account.home,
        "LANG": "C.UTF-8",
        "MAIL": f"/var/mail/{account.name}",
        "MM_CHARSET": "UTF-8",
        "PATH": f"{prefix}:{path}" if prefix else path,
        "SHELL": account.shell,
        "USER": account.name,
    }


def tail(done: Completed) -> str:
    """Return the end of what a command printed, on one line."""
    said = (done.stdout + done.stderr).decode(errors="replace").strip()
    return " / ".join(line for line in said.splitlines() if line.strip())[-_TAIL_CHARS:]


def append(path: Path, text: bytes) -> None:
    """Append to exec.consolelog; a log that cannot be written stops no task."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, text)
        finally:
            os.close(fd)


def _argv(command: Command, path: str, sh: str, key: str) -> list[str]:
    """Return what to execute: as jail(8) does, by the shell only where there is something for it to do."""
    if command.background:
        return [sh, "-c", command.text]
    program, *arguments = command.argv
    if sh != _SHELL:
        # Our own look-ups would end in /compat/linux: FreeBSD's shell looks up and executes in place.
        program = sh if program == _SHELL else program
        return [sh, "-c", 'exec "$@"', "sh", program, *arguments]
    if "/" in program:
        return [program, *arguments]
    for place in path.split(":"):
        candidate = f"{place}/{program}"
        if os.access(candidate, os.X_OK):
            return [candidate, *arguments]
    raise HostError(key, f'"{program}" is not found in the hooks\' PATH {path}; write it with its directory')
