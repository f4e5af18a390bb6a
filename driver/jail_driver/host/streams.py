"""Pipes and terminals without threads: reads that wait, writes that hold back their writer."""

from __future__ import annotations

import asyncio
import errno
import os

CHUNK_BYTES = 64 * 1024


class Reader:
    """The reading end of a pipe, or the master side of a terminal.

    Args:
        fd: ours to close.

    Attributes:
        received_bytes: how much has come so far.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._stopped = False
        self._waiter: asyncio.Future[None] | None = None
        self.received_bytes = 0
        os.set_blocking(fd, False)

    @property
    def is_waiting(self) -> bool:
        """Whether a ``read`` finds nothing just now."""
        return self._waiter is not None

    async def read(self) -> bytes:
        """Returns what is there, as soon as something is; empty at the end."""
        while not self._stopped:
            try:
                data = os.read(self._fd, CHUNK_BYTES)
            except BlockingIOError:
                await self._readable()
            except OSError as error:
                if error.errno == errno.EIO:  # a terminal that nobody has open any more (Linux)
                    return b""
                raise
            else:
                self.received_bytes += len(data)
                return data
        return b""

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        loop.add_reader(self._fd, _wake, self._waiter)
        try:
            await self._waiter
        finally:
            loop.remove_reader(self._fd)
            self._waiter = None

    def stop(self) -> None:
        """Makes this ``read`` or the next one the end."""
        self._stopped = True
        if self._waiter is not None:
            _wake(self._waiter)

    def close(self) -> None:
        """Closes the descriptor; nobody may be reading."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Writer:
    """The writing end of a pipe, or the master side of a terminal.

    Args:
        fd: ours to close.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)

    async def write(self, data: bytes) -> None:
        """Returns when the last byte is taken.

        Raises:
            BrokenPipeError: nobody reads any more, or it was closed.
        """
        left = memoryview(data)
        while left:
            if self._fd < 0:
                raise BrokenPipeError(errno.EPIPE, "closed")
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                if error.errno == errno.EIO:
                    raise BrokenPipeError(errno.EPIPE, "the terminal is gone") from error
                raise

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._fd, _wake, waiter)
        try:
            await waiter
        finally:
            loop.remove_writer(self._fd)

    def close(self) -> None:
        """Lets the reader see the end; nobody may be writing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
