"""The standard descriptors: the agent's pipes must reach nobody but us.

go-plugin notices a plugin's death when both pipes end (client.go waits for them before it waits for the
process), so a child that inherited one would hide our death from Nomad.
"""

from __future__ import annotations

import fcntl
import os

STDIN, STDOUT, STDERR = 0, 1, 2


def take_stderr() -> int:
    """Moves the agent's stderr to a private descriptor and leaves /dev/null in its place.

    Returns:
        the private descriptor, closed on exec.
    """
    private = fcntl.fcntl(STDERR, fcntl.F_DUPFD_CLOEXEC, 10)
    _null(STDERR)
    return private


def say_handshake(line: str) -> None:
    """Writes the one line of stdout and lets go of stdin and stdout.

    Raises:
        OSError: nobody reads it.
    """
    data = line.encode()
    while data:
        data = data[os.write(STDOUT, data) :]
    _null(STDIN)
    _null(STDOUT)


def _null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, descriptor)
    os.close(null)
