"""Forks supervisors: ``python -I -S fork_helper.py FD``, started by the plugin at its first task.

A fork of the plugin itself would carry gRPC's threads and memory; a fresh interpreter for each task costs
several megabytes. This small process has loaded what a supervisor needs, and its children share it.

FD is one end of a stream socket pair. A request is four bytes of length, big-endian, and JSON; the task's
go channel comes along as SCM_RIGHTS (unix(4)). All answers go through that channel. End of file: the plugin
is gone, and so is the helper; the supervisors stay.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, NoReturn

_HEADER_BYTES = 4
_FD_SPACE = socket.CMSG_SPACE(4)
"""Room for one descriptor with its padding. socket.recv_fds() leaves the padding out, and FreeBSD's kernel closes
what it cannot hand over whole (sys/kern/uipc_syscalls.c, kern_recvit)."""
_RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)
_GO_FD = 3
_MOST_FDS = 65536


def main() -> None:
    """Serves fork requests until the plugin is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    _add_source_root()
    from jail_driver.supervisor import main as supervisor  # noqa: PLC0415  # found only now

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The kernel reaps our children by itself: a supervisor's status interests nobody, its records do.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Frozen objects stay out of the collector's way, so that the children's pages stay shared.
    gc.collect()
    gc.freeze()
    while (received := receive(control)) is not None:
        request, go_fd = received
        try:
            pid = os.fork()
        except OSError as error:
            _complain(go_fd, f"cannot fork a supervisor: {error.strerror}")
        else:
            if pid == 0:
                _become(supervisor.run, control, go_fd, request)
        os.close(go_fd)


def receive(control: socket.socket) -> tuple[dict[str, Any], int] | None:
    """Reads one request and the descriptor that comes with it; None at the end of file."""
    try:
        header, ancillary, _, _ = control.recvmsg(_HEADER_BYTES, _FD_SPACE)
        header += _exactly(control, _HEADER_BYTES - len(header)) if header else b""
        fds = [data for level, kind, data in ancillary if (level, kind) == _RIGHTS]
        if not header or not fds:
            return None
        go_fd = int.from_bytes(fds[0], sys.byteorder)
        request: dict[str, Any] = json.loads(_exactly(control, int.from_bytes(header, "big")))
    except (OSError, ValueError, EOFError):
        return None
    os.set_inheritable(go_fd, False)
    return request, go_fd


def _exactly(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = control.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


def _become(run: Any, control: socket.socket, go_fd: int, request: dict[str, Any]) -> NoReturn:
    """Runs in the child: keeps the standard descriptors and the go channel, nothing else."""
    status = 1
    try:
        control.detach()
        if go_fd != _GO_FD:  # dup3(2) refuses to copy a descriptor to itself.
            os.dup2(go_fd, _GO_FD, inheritable=False)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.closerange(_GO_FD + 1, _MOST_FDS if soft < 0 else min(soft, _MOST_FDS))
        status = run(_GO_FD, request)
    except BaseException as error:  # noqa: BLE001  # the last chance to say anything
        _complain(_GO_FD, f"the supervisor failed: {error!r}")
    finally:
        os._exit(status)


def _complain(go_fd: int, error: str) -> None:
    try:
        os.write(go_fd, json.dumps({"version": 1, "event": "error", "error": error}).encode() + b"\n")
    except OSError:
        return


def _add_source_root() -> None:
    """Makes this package importable; last, so that nothing there can stand for the standard library."""
    root = __file__
    for _ in range(3):
        root = os.path.dirname(root)  # noqa: PTH120  # pathlib costs memory in every supervisor
    sys.path.append(root)


if __name__ == "__main__":
    main()
