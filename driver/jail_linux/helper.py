"""Forked children that are in other namespaces for a moment.

A process inside an unprivileged user namespace may enter a jail's namespaces but never come back to those of
the machine, so whatever has to be done inside is done by a child that ends there.
"""

import os

from jail_linux import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


class Holder:
    """A child with fresh namespaces, alive until they are held by a mount or given up.

    Attributes:
        process: Its id.
    """

    __slots__ = ("_pipe", "process")

    def __init__(self, hostname: str, *, has_net: bool) -> None:
        """Start the child and wait until it is ready.

        Args:
            hostname: Of its new UTS namespace.
            has_net: Whether it gets a network namespace as well.

        Raises:
            OSError: What the kernel answered to the child.
        """
        ready, tell = os.pipe()
        wait, self._pipe = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            os.close(self._pipe)
            number = 0
            try:
                kernel.unshare(kernel.CLONE_NEWUTS | (kernel.CLONE_NEWNET if has_net else 0))
                kernel.set_hostname(hostname)
            except OSError as problem:
                number = problem.errno or 1
            os.write(tell, bytes([number]))
            os.read(wait, 1)
            os._exit(0)
        os.close(wait)
        os.close(tell)
        number = (os.read(ready, 1) or b"\1")[0]
        os.close(ready)
        if number:
            self.end()
            raise OSError(number, os.strerror(number))

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the child; a second time does nothing."""
        if self.process:
            os.close(self._pipe)
            os.waitpid(self.process, 0)
            self.process = 0


def in_namespace(path: str, action: "Callable[[], None]") -> int:
    """Let a child do something inside a namespace.

    Args:
        path: File that the namespace is bound to.
        action: What to do there.

    Returns:
        0, or the errno of what failed.
    """
    child = os.fork()
    if child == 0:
        number = 0
        try:
            kernel.setns(os.open(path, os.O_RDONLY))
            action()
        except OSError as problem:
            number = problem.errno or 1
        os._exit(number)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def rename_host(path: str, name: str) -> None:
    """Set the host name of a UTS namespace.

    Args:
        path: File that the namespace is bound to.
        name: The host name.

    Raises:
        OSError: What the kernel answers.
    """
    number = in_namespace(path, lambda: kernel.set_hostname(name))
    if number:
        raise OSError(number, os.strerror(number))
