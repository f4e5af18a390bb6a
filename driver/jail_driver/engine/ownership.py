"""One plugin acts on a state directory at a time.

A new plugin may be started while an old one still lives: the agent's reattach failed, or it lost its data
directory. If the old one's agent is dead, the newcomer asks it to hand over, and the old one ends: a plugin
carries no data that the journal and the supervisors do not. It refuses while it serves a live agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import Callable

from jail_driver import log
from jail_driver.engine.paths import StateDir
from jail_driver.errors import UnavailableError

_log = log.get("ownership")
_VERSION = 1
_ANSWER_S = 3.0
_HANDOVER_S = 5.0


class Ownership:
    """The lock of a state directory, and the socket at which a successor asks for it.

    Args:
        state: the directory.
        agent_alive: whether an agent still needs this plugin.
        give_up: ends this process; called once the successor was told yes.
    """

    def __init__(self, state: StateDir, agent_alive: Callable[[], bool], give_up: Callable[[], None]) -> None:
        self._state = state
        self._agent_alive = agent_alive
        self._give_up = give_up
        self._fd: int | None = None
        self._server: asyncio.AbstractServer | None = None

    async def acquire(self) -> None:
        """Take the lock, asking its holder to hand over if there is one.

        Raises:
            UnavailableError: another plugin serves a live agent.
        """
        fd = os.open(self._state.plugin_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _try(fd):
                await self._ask_holder()
                await _wait(fd, self._state)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        self._state.plugin_socket.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._state.plugin_socket)
        self._state.plugin_socket.chmod(0o600)

    async def release(self) -> None:
        """Give the lock back (the end of the process does too)."""
        if self._server is not None:
            self._server.close()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    async def _ask_holder(self) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(self._state.plugin_socket)
        except OSError:
            return  # it is just starting or just ending: the lock tells
        try:
            writer.write(json.dumps({"version": _VERSION, "ask": "hand-over"}).encode() + b"\n")
            await writer.drain()
            answer = json.loads(await asyncio.wait_for(reader.readline(), _ANSWER_S) or b"{}")
        except (OSError, ValueError, TimeoutError):
            return
        finally:
            writer.close()
        if answer.get("refused"):
            raise UnavailableError(
                f"{self._state.root} is in use by the plugin with pid {answer.get('pid')}, which serves a live"
                " Nomad agent; give each agent a state_dir of its own"
            )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            request = json.loads(await asyncio.wait_for(reader.readline(), _ANSWER_S))
            hands_over = request.get("ask") == "hand-over" and not self._agent_alive()
            answer = {"version": _VERSION, "pid": os.getpid(), "refused": not hands_over}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
            if hands_over:
                _log.warning("handing over to a successor: the agent of this plugin is gone")
                self._give_up()
        writer.close()


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _wait(fd: int, state: StateDir) -> None:
    deadline = asyncio.get_running_loop().time() + _HANDOVER_S
    while not _try(fd):
        if asyncio.get_running_loop().time() > deadline:
            raise UnavailableError(
                f"{state.plugin_lock} is held by another plugin that does not answer; end that process"
            )
        await asyncio.sleep(0.05)
