"""Where the driver keeps what: one directory, 0700, one subdirectory per task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jail_state.core.ids import task_hash


@dataclass(frozen=True, slots=True)
class StateDir:
    """The state directory; nothing is made by looking at these paths."""

    root: Path

    @property
    def database(self) -> Path:
        """The event store."""
        return self.root / "events.db"

    @property
    def plugin_lock(self) -> Path:
        """Held by the one plugin that acts."""
        return self.root / "plugin.lock"

    @property
    def plugin_socket(self) -> Path:
        """Where that plugin listens for a successor."""
        return self.root / "plugin.sock"

    @property
    def logs(self) -> Path:
        """The plugin's own rotated log."""
        return self.root / "log"

    @property
    def tools(self) -> Path:
        """The generated stand-in commands, where the host has none of FreeBSD's."""
        return self.root / "tools"

    @property
    def sockets(self) -> Path:
        """The supervisors' private sockets."""
        return self.root / "s"

    @property
    def tasks(self) -> Path:
        """The tasks' own directories."""
        return self.root / "t"

    def task(self, task_id: str) -> TaskDir:
        """Return the directory of one task."""
        digest = task_hash(task_id)
        return TaskDir(self.tasks / digest, self.sockets / digest)


@dataclass(frozen=True, slots=True)
class TaskDir:
    """One task's directory; gone when the task is stopped without leftovers."""

    path: Path
    socket: Path

    @property
    def root(self) -> Path:
        """The view: mount point of the jail's root."""
        return self.path / "root"

    @property
    def private(self) -> Path:
        """What teardown owes verbatim (0600)."""
        return self.path / "private.json"

    @property
    def files(self) -> Path:
        """Files that are mounted into the jail: resolv.conf, hosts."""
        return self.path / "files"

    @property
    def supervisor(self) -> Path:
        """The supervisor's records."""
        return self.path / "sup"

    @property
    def locks(self) -> Path:
        """One lock file per effect."""
        return self.path / "locks"

    def lock(self, step: str) -> Path:
        """Return the lock file of a step; keys hold blanks and slashes, file names hold their hash."""
        return self.locks / task_hash(step)
