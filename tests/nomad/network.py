"""A network namespace that lives as long as its descriptor: nothing to remove afterwards.

The agent and everything it starts run inside, so that each worker has its own addresses and ports and a
leaked address or interface is seen exactly.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nomad.system import pids

CLONE_NEWNET = 0x40000000
"""<sched.h> of Linux."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _own() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _new() -> int:
    here = _own()
    try:
        _check(_libc.unshare(CLONE_NEWNET))
        return _own()
    finally:
        _check(_libc.setns(here, CLONE_NEWNET))
        os.close(here)


class Network:
    """A host's network with the document's names and addresses.

    Loopback, and ``em1`` with 192.168.1.1/24, whose wire ends at 192.168.1.9 in a second namespace: the
    outside, from where clients come.
    """

    def __init__(self) -> None:
        self._inside = _new()
        self._outside = _new()
        self.ip("link", "set", "lo", "up")
        far_end = f"/proc/{os.getpid()}/fd/{self._outside}"
        self.ip("link", "add", "em1", "type", "veth", "peer", "name", "wire", "netns", far_end)
        self.ip("address", "add", "192.168.1.1/24", "dev", "em1")
        self.ip("link", "set", "em1", "up")
        with self.entered(outside=True):
            for argv in (["address", "add", "192.168.1.9/24", "dev", "wire"], ["link", "set", "wire", "up"]):
                subprocess.run(["ip", *argv], check=True, capture_output=True)

    @contextmanager
    def entered(self, *, outside: bool = False) -> Iterator[None]:
        """The calling thread is inside: sockets and children made here belong to the namespace."""
        here = _own()
        _check(_libc.setns(self._outside if outside else self._inside, CLONE_NEWNET))
        try:
            yield
        finally:
            _check(_libc.setns(here, CLONE_NEWNET))
            os.close(here)

    def run(self, *argv: str, timeout_s: float = 30.0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command inside to its end, output captured as text."""
        with self.entered():
            return subprocess.run(
                argv, capture_output=True, text=True, timeout=timeout_s, check=False, **options
            )

    def ip(self, *argv: str) -> str:
        """Changes or shows the inside with iproute2.

        Raises:
            RuntimeError: it failed; the text is its own.
        """
        done = self.run("ip", *argv)
        if done.returncode != 0:
            raise RuntimeError(f"ip {' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, host: str, port: int, path: str = "/", timeout_s: float = 5.0) -> str:
        """Fetches a page from the outside; the text of the answer."""
        with self.entered(outside=True):
            connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
            connection.connect()
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def try_get(self, host: str, port: int) -> str | None:
        """Fetches a page; None while nobody answers."""
        try:
            return self.get(host, port)
        except (OSError, http.client.HTTPException):
            return None

    def addresses(self) -> list[str]:
        """Each address as ``interface address/prefix``, sorted; link-local ones, which the kernel makes, left out."""
        return sorted(
            f"{link['ifname']} {info['local']}/{info['prefixlen']}"
            for link in json.loads(self.ip("-json", "address"))
            for info in link.get("addr_info", [])
            if info.get("scope") != "link"
        )

    def interfaces(self) -> list[str]:
        """The names of all interfaces, sorted."""
        return sorted(link["ifname"] for link in json.loads(self.ip("-json", "link")))

    def routes(self) -> list[str]:
        """The IPv4 routing table, sorted."""
        return sorted(line.strip() for line in self.ip("route", "show").splitlines())

    def processes(self) -> set[int]:
        """The pids of all processes whose network is this one."""
        mine = os.fstat(self._inside)
        found = set()
        for pid in pids():
            try:
                seen = Path(f"/proc/{pid}/ns/net").stat()
            except OSError:
                continue
            if (seen.st_dev, seen.st_ino) == (mine.st_dev, mine.st_ino):
                found.add(pid)
        return found

    def close(self) -> None:
        """Lets the namespaces go; each ends with its last process."""
        os.close(self._inside)
        os.close(self._outside)
