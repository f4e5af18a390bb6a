"""The plugin process: handshake, gRPC server, the end.

Nomad launches a plugin at least three times, twice only to ask (helper/pluginutils/loader/init.go), so
nothing is imported or touched here before the handshake that the handshake does not need.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import grpc
from grpc import aio

from jail_driver import log
from jail_driver.activity import Activity
from jail_driver.errors import UnavailableError
from jail_driver.plugin import goplugin, handshake, stdio, watchdog
from jail_driver.plugin.wire import service_handler
from jail_driver.rpc import base, driver
from jail_driver.rpc.guard import guard
from jail_driver.rpc.work import Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jail_driver.rpc.about import About
    from jail_driver.service import DriverService

GRACE_S = 0.2
"""For calls that are being answered while the server ends; the host kills after two seconds."""

CLOSING_S = 1.0
_A_DAY_S = 24 * 3600
_MANY = 100_000
OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    # A call that waits to be accepted is never refused: after a reboot all of a node's tasks start at once,
    # and Nomad takes a refusal for the task's failure. The defaults are 30 s and 1,000 calls.
    ("grpc.server_max_unrequested_time_in_server", _A_DAY_S),
    ("grpc.server.max_pending_requests", _MANY),
    ("grpc.server.max_pending_requests_hard_limit", _MANY),
)
logger = log.get("plugin")


def serve(
    service_factory: Callable[[], DriverService],
    about: About,
    *,
    activity: Activity | None = None,
    closing: Callable[[], Awaitable[None]] | None = None,
) -> NoReturn:
    """Serves as a go-plugin until the host says Shutdown or SIGTERM comes; then ends the process.

    The end carries no data: a killed plugin must lose nothing, so the ordinary end cancels nothing either.

    Args:
        service_factory: makes the service, once, inside the event loop, when an RPC first needs it.
        about: name, schemas, capabilities.
        activity: counts open long calls; made here if the caller has no use for it.
        closing: what may run at the end, for at most one second; calls are over by then.

    Raises:
        SystemExit: not launched by Nomad; the sentence is on stderr, the status 1.
    """
    try:
        handshake.check_environment(os.environ)
        socket_path = handshake.make_socket_path(os.environ)
    except UnavailableError as error:
        sys.stderr.write(f"jail-task-driver: {error}\n")
        raise SystemExit(1) from error
    status = 1
    try:
        plugin = _Plugin(about, Work(service_factory), activity or Activity(), socket_path)
        status = asyncio.run(plugin.run(closing))
    except Exception as error:
        sys.stderr.write(f"jail-task-driver: cannot serve: {error}\n")
        logger.exception("cannot serve")
    finally:
        sys.stderr.flush()
        handshake.remove_socket(socket_path)
        os._exit(status)


class _Plugin:
    """One server on one socket."""

    def __init__(self, about: About, work: Work, activity: Activity, socket_path: str) -> None:
        self._about = about
        self._work = work
        self._activity = activity
        self._socket_path = socket_path

    async def run(self, closing: Callable[[], Awaitable[None]] | None) -> int:
        """Serves until told to stop; returns the exit status."""
        stop = asyncio.Event()
        _ignore_terminal(stop)
        server = self._server(stop)
        await server.start()
        log.start(stdio.take_stderr())
        try:
            stdio.say_handshake(handshake.handshake_line(self._socket_path, os.environ))
        except OSError as error:
            logger.error("nobody reads the handshake", error=str(error))  # noqa: TRY400  # no defect of ours
            return 1
        watching = asyncio.create_task(watchdog.watch())
        await stop.wait()
        watching.cancel()
        await server.stop(GRACE_S)
        if closing is not None:
            await _close(closing)
        return 0

    def _server(self, stop: asyncio.Event) -> aio.Server:
        server = aio.server(options=OPTIONS)
        activity, work = self._activity, self._work
        pairs = (
            (goplugin.HEALTH_SERVICE, goplugin.Health()),
            (goplugin.BROKER_SERVICE, goplugin.Broker(activity)),
            (goplugin.STDIO_SERVICE, goplugin.Stdio(activity)),
            (goplugin.CONTROLLER_SERVICE, goplugin.Controller(stop)),
            (base.SERVICE, base.BasePlugin(self._about, work)),
            (driver.SERVICE, driver.Driver(self._about, work, activity)),
        )
        handlers: tuple[grpc.GenericRpcHandler, ...] = tuple(
            service_handler(service, servicer, guard) for service, servicer in pairs
        )
        server.add_generic_rpc_handlers(handlers)
        server.add_insecure_port(handshake.grpc_target(self._socket_path))
        return server


def _ignore_terminal(stop: asyncio.Event) -> None:
    """Ctrl-C and a closed terminal are the agent's business; SIGTERM ends like Shutdown.

    Handlers that do nothing, not SIG_IGN, which every child would inherit through exec.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, stop.set)


async def _close(closing: Callable[[], Awaitable[None]]) -> None:
    try:
        await asyncio.wait_for(closing(), CLOSING_S)
    except Exception:
        logger.exception("closing failed")
