"""One supervisor: the process that outlives the plugin and knows how its task ended.

The order of its first steps is the point: lock, identity on disk, socket, "ready", and nothing is started
before a whole order has come. End of file instead of an order: it removes what it made, and ends.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jail_driver.supervisor import channel, files, procid, reaper, signals
from jail_driver.supervisor.loop import Loop
from jail_driver.supervisor.server import Server
from jail_driver.supervisor.task import Task

if TYPE_CHECKING:
    from typing import Any

_PRIVATE = 0o077


class RefusedError(Exception):
    """This task cannot have a supervisor; the text is a sentence."""


def run(go_fd: int, request: dict[str, Any]) -> int:
    """Lives through one task. Called in a fresh fork that holds no other descriptor than 0 to 2 and this.

    Args:
        go_fd: our end of the go channel.
        request: ``sup_dir`` (exists), ``socket_path``, ``boot_id``.

    Returns:
        The process's exit status.
    """
    umask = _detach()
    try:
        supervisor = Supervisor(go_fd, request, umask)
    except RefusedError as error:
        channel.send_line(go_fd, "error", error=str(error))
        return 1
    except (OSError, ValueError) as error:
        channel.send_line(go_fd, "error", error=f"the supervisor cannot start: {error}")
        return 1
    supervisor.serve()
    return 0


def _detach() -> int:
    """Leaves the plugin's session and signals behind; returns the umask that the task gets."""
    os.setsid()
    os.chdir("/")
    signals.be_deaf()
    return os.umask(_PRIVATE)


class Supervisor:
    """Ties the parts together.

    Args:
        go_fd: our end of the go channel.
        request: as for ``run``.
        umask: the task's.

    Raises:
        RefusedError: another supervisor lives here, or this task's main already ran.
        OSError, ValueError: the host refuses; nothing is left listening.
    """

    def __init__(self, go_fd: int, request: dict[str, Any], umask: int) -> None:
        self._directory = files.Directory(request["sup_dir"])
        self._directory.send_stderr_to_log()
        self._lock = self._take_lock()
        self._refuse_second_life()
        reaper.become_reaper()
        own = procid.newborn_id(os.getpid(), request["boot_id"])
        identity = {"version": files.VERSION, **own._asdict(), "main": None}
        self._directory.write(files.IDENTITY, identity)
        self._loop = Loop()
        self._task = Task(self._loop, self._directory, identity, umask, self._report, self._publish)
        self._server = Server(self._loop, request["socket_path"], self._answer, self._task.news)
        self._channel = channel.GoChannel(self._loop, go_fd, self._task.start, self._abort)
        self._is_aborted = False
        self._channel.report("ready", **own._asdict())

    def serve(self) -> None:
        """Serves until the task is over, or was never ordered."""
        self._loop.run(self._turn)
        self._server.close()
        if self._is_aborted:
            # The lock's file last, and while we hold it: see Directory.lock.
            self._directory.remove(files.IDENTITY, files.LOG, files.LOCK)

    def _take_lock(self) -> int:
        try:
            return self._directory.lock()
        except BlockingIOError:
            raise RefusedError(f"another supervisor lives in {self._directory.path}") from None

    def _refuse_second_life(self) -> None:
        """A task id has one main, ever: whoever asks for a second one has missed how the first ended."""
        identity = self._directory.read(files.IDENTITY)
        if self._directory.read(files.EXIT) is not None or (
            identity is not None and identity["main"] is not None
        ):
            raise RefusedError(f"this task was started before, as the records in {self._directory.path} say")

    def _turn(self) -> bool:
        childless = self._reap()
        return self._is_aborted or self._task.settle(childless=childless)

    def _reap(self) -> bool:
        """Collects every child that has ended; True if none is left."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return True
            if ended is None:
                return False
            pid, status = os.waitpid(ended.si_pid, 0)
            self._task.reaped(pid, status, ended.si_code)

    def _abort(self) -> None:
        self._is_aborted = True

    def _report(self, event: str, **fields: Any) -> None:
        self._channel.report(event, **fields)
        self._channel.close()

    def _publish(self, message: dict[str, Any]) -> None:
        self._server.publish(message)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["op"]:
            case "status":
                return {"ok": True, **self._task.status()}
            case "signal":
                error = self._task.signal_main(str(request.get("name")))
                return {"ok": True} if error is None else {"ok": False, "error": error}
            case "environment":
                environment = self._task.environment()
                if environment is None:
                    return {"ok": False, "error": "the order named no environment"}
                return {"ok": True, "environment": environment}
            case "end":
                self._task.end()
                return {"ok": True}
            case unknown:
                return {"ok": False, "error": f"unknown request {unknown!r}"}
