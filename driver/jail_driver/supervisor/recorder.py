"""Keeps one record on disk, however long the disk refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from jail_driver.supervisor.files import Directory
    from jail_driver.supervisor.loop import Loop, Timer

_FIRST_RETRY_S = 0.05
_LAST_RETRY_S = 2.0


class Recorder:
    """Writes the newest content of one file durably, retrying with back-off while the disk refuses.

    Args:
        loop: runs the retries; the supervisor goes on serving in between.
        directory: where the file lives.
        name: the file's name.
    """

    def __init__(self, loop: Loop, directory: Directory, name: str) -> None:
        self._loop = loop
        self._directory = directory
        self._name = name
        self._retry: Timer | None = None
        self._delay_s = _FIRST_RETRY_S
        self.error: str | None = None
        """Why the newest content is not durable yet; None if it is."""

    def put(self, content: dict[str, Any], then: Callable[[], None]) -> None:
        """Replaces the file, at once if the disk lets us, and calls ``then`` when it is durable.

        A newer ``put`` supersedes an older one that still waits: the older ``then`` is not called.
        If the directory itself was removed, nobody can ever read the record: ``then`` is called all the same.
        """
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        try:
            self._directory.write(self._name, content)
        except OSError as error:
            if not self._directory.is_removed():
                self.error = f"{self._directory.path}/{self._name}: {error.strerror}"
                self._retry = self._loop.later(self._delay_s, lambda: self.put(content, then))
                self._delay_s = min(2 * self._delay_s, _LAST_RETRY_S)
                return
        self.error = None
        self._delay_s = _FIRST_RETRY_S
        then()
