"""The private socket: requests and answers as JSON lines, and news for those who watch."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

from jail_driver.supervisor.files import VERSION
from jail_driver.supervisor.loop import READ, WRITE, Loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_PATH_BYTES = 100
"""sun_path holds 104 bytes on FreeBSD, with the terminating NUL (unix(4))."""

_MAX_REQUEST_BYTES = 65536
_MAX_UNSENT_BYTES = 1 << 24
_BACKLOG = 128
_ACCEPT_PAUSE_S = 1.0


class Server:
    """Serves the socket of one supervisor.

    Args:
        loop: drives it.
        path: where to listen. A left-over of a dead predecessor is replaced: the caller holds the lock.
        answer: maps one request to its reply, both without the version.
        news: what a new watcher must be told at once.

    Raises:
        OSError: the path is too long or cannot be made.
    """

    def __init__(
        self,
        loop: Loop,
        path: str,
        answer: Callable[[dict[str, Any]], dict[str, Any]],
        news: Callable[[], list[dict[str, Any]]],
    ) -> None:
        self._loop = loop
        self._path = path
        self.answer = answer
        self.news = news
        self._clients: set[_Client] = set()
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise OSError(f"the socket's path is longer than {MAX_PATH_BYTES} bytes: {path}")
        self._unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.bind(path)
        self._socket.listen(_BACKLOG)
        self._resume()

    def publish(self, message: dict[str, Any]) -> None:
        """Tells all watchers."""
        for client in list(self._clients):
            if client.is_watching:
                client.send(message)

    def close(self) -> None:
        """Takes the name away first, so that nobody finds a socket that nobody serves."""
        self._unlink()
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()
        for client in list(self._clients):
            client.close()

    def forget(self, client: _Client) -> None:
        """Called by a client that is closing."""
        self._clients.discard(client)

    def _resume(self) -> None:
        self._loop.watch(self._socket.fileno(), READ, self._accept)

    def _accept(self) -> None:
        try:
            peer, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            # No descriptors left: the listener would be ready again at once.
            self._loop.unwatch(self._socket.fileno())
            self._loop.later(_ACCEPT_PAUSE_S, self._resume)
            return
        self._clients.add(_Client(self._loop, peer, self))

    def _unlink(self) -> None:
        try:
            os.unlink(self._path)  # noqa: PTH108  # pathlib costs memory in every supervisor
        except FileNotFoundError:
            return


class _Client:
    """One connection: a slow or silly one harms itself alone."""

    def __init__(self, loop: Loop, peer: socket.socket, server: Server) -> None:
        self._loop = loop
        self._socket = peer
        self._server = server
        self._received = bytearray()
        self._unsent = bytearray()
        self._is_closed = False
        self.is_watching = False
        peer.setblocking(False)
        loop.watch(peer.fileno(), READ, self._on_readable)

    def send(self, message: dict[str, Any]) -> None:
        """Sends one line, of any length, or as much as fits now and the rest later."""
        if len(self._unsent) > _MAX_UNSENT_BYTES:
            self.close()
        if self._is_closed:
            return
        self._unsent += json.dumps({"version": VERSION, **message}).encode() + b"\n"
        self._flush()

    def close(self) -> None:
        """Ends the connection; twice is fine."""
        if self._is_closed:
            return
        self._is_closed = True
        self._server.forget(self)
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()

    def _on_readable(self) -> None:
        try:
            chunk = self._socket.recv(_MAX_REQUEST_BYTES)
        except BlockingIOError:
            # Woken for room to write.
            self._flush()
            return
        except OSError:
            chunk = b""
        self._received += chunk
        if not chunk or len(self._received) > _MAX_REQUEST_BYTES:
            self.close()
            return
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            self._serve(bytes(line))
        self._flush()

    def _serve(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            name = request["op"]
        except (ValueError, TypeError, KeyError):
            self.send({"ok": False, "error": "a request is a JSON object with an 'op'"})
            return
        if name != "watch":
            self.send(self._server.answer(request))
            return
        self.is_watching = True
        self.send({"ok": True})
        for message in self._server.news():
            self.send(message)

    def _flush(self) -> None:
        if self._is_closed:
            return
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        events = READ | WRITE if self._unsent else READ
        self._loop.watch(self._socket.fileno(), events, self._on_readable)
