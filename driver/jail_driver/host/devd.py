"""What the kernel tells of matched rctl(8) rules: devd(8)'s socket, or its source /dev/devctl.

A rule with the action ``devctl`` limits nothing; when it matches, the kernel sends one line that names rule
and process (sys/kern/kern_rctl.c). devd repeats each line on a SOCK_SEQPACKET socket. Where no devd runs the
device can be read directly, by one process at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

from jail_driver import log
from jail_driver.errors import reason

_log = log.get("host")
_DEVCTL = "/dev/devctl"
_MOST_BYTES = 64 * 1024
_AGAIN_S = 5.0
_EVENT = re.compile(
    r"!system=RCTL subsystem=rule type=matched"
    r" rule=jail:(?P<jail>[^:\s]+):(?P<resource>\w+):(?P<action>\w+)=(?P<amount>\d+)(?:/(?P<per>\w+))?"
    r" pid=(?P<pid>\d+) ruid=\d+ jail="
)


@dataclass(frozen=True, slots=True)
class RuleMatched:
    """One match of a rule whose subject is a jail.

    Args:
        jail: the jail's name.
        resource: ``memoryuse`` and so on.
        action: the rule's, so ``devctl``.
        amount: the rule's, in the kernel's units.
        per: ``jail`` where the rule names nothing else.
        pid: the process that crossed the limit.
    """

    jail: str
    resource: str
    action: str
    amount: int
    per: str
    pid: int


def parse_event(line: str) -> RuleMatched | None:
    """Reads one line of devd; None if it is about something else.

    Everything is taken from the line's beginning: its end holds the name of the process's own jail, which
    may be a jail inside a jail, with a name of its root's choice.
    """
    found = _EVENT.match(line)
    if found is None:
        return None
    return RuleMatched(
        jail=found["jail"],
        resource=found["resource"],
        action=found["action"],
        amount=int(found["amount"]),
        per=found["per"] or "jail",
        pid=int(found["pid"]),
    )


class KernelEvents:
    """Listens while somebody wants it. All methods are called on the event loop.

    Args:
        pipe: path of devd's socket.
        device: whether /dev/devctl may be read where there is no devd.
        on_match: gets each match, on the event loop.
        on_change: called with ``connected`` when a connection was made or lost.
        wanted: whether a lost connection is to be made again.
    """

    def __init__(
        self,
        pipe: str,
        *,
        device: bool,
        on_match: Callable[[RuleMatched], None],
        on_change: Callable[..., None],
        wanted: Callable[[], bool],
    ) -> None:
        self._pipe = pipe
        self._device = device
        self._on_match = on_match
        self._on_change = on_change
        self._wanted = wanted
        self._fd = -1
        self._retry: asyncio.TimerHandle | None = None
        self.why_not = "nobody has listened yet"
        """Why there is no evidence; empty while connected."""

    def listen(self) -> bool:
        """Connects, unless that is done; returns whether events will be seen from now on."""
        if self._fd >= 0:
            return True
        try:
            self._fd = self._open()
            asyncio.get_running_loop().add_reader(self._fd, self._read)
        except OSError as error:
            self._drop(reason(error))
            return False
        self.why_not = ""
        self._on_change(connected=True)
        return True

    def _open(self) -> int:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.setblocking(False)
        try:
            connection.connect(self._pipe)
        except OSError as error:
            connection.close()
            no_pipe = f"{self._pipe}: {error.strerror}"
            if not self._device:
                raise OSError(error.errno, no_pipe) from error
            try:
                return _open_device()
            except OSError as refused:
                why = "another program reads it" if refused.errno == errno.EBUSY else refused.strerror
                raise OSError(refused.errno, f"{no_pipe}; {_DEVCTL}: {why}") from refused
        return connection.detach()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, _MOST_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._drop(reason(error))
                return
            if not data:
                self._drop("devd ended")
                return
            for line in data.decode(errors="replace").splitlines():
                found = parse_event(line)
                if found is not None:
                    self._on_match(found)

    def _drop(self, why: str) -> None:
        self._disconnect()
        self.why_not = why
        self._on_change(connected=False)
        if self._retry is None and self._wanted():
            _log.info("the kernel's events cannot be heard now", why=why)
            self._retry = asyncio.get_running_loop().call_later(_AGAIN_S, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if self._wanted():
            self.listen()

    def _disconnect(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        """Stops listening."""
        if self._retry is not None:
            self._retry.cancel()
        self._disconnect()


def _open_device() -> int:
    device = os.open(_DEVCTL, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # The device heeds FIONBIO alone (kern_devctl.c, devread): a read would stop the whole plugin.
        os.set_blocking(device, False)
    except OSError:
        os.close(device)
        raise
    return device
