"""The in-memory host's mount table: busy roots and nullfs's deadlock included."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from pathlib import Path

from jail_driver.host.errors import BusyError, HostError, MissingError
from jail_driver.host.fakebase import FakeKernel
from jail_driver.host.mounts import check_mount
from jail_driver.host.port import MountSeen


class FakeMounts(FakeKernel):
    """See ``FakeHost``."""

    async def mounts(self) -> tuple[MountSeen, ...]:
        """See ``JailHost``."""
        async with self.operation("mounts"):
            return tuple(self.mount_table)

    async def mount(
        self,
        fstype: str,
        source: str,
        target: Path,
        options: Sequence[str] = (),
        *,
        lock: Path | None = None,
    ) -> MountSeen:
        """See ``JailHost``."""
        check_mount(fstype, source, target, options)
        async with self.operation("mount", lock):
            what = f"mount {source} on {target}"
            lower = self._lower(str(target))
            if not os.path.exists(lower):  # noqa: PTH110  # text, as the table holds it
                raise MissingError(what, f"mount: {target}: No such file or directory")
            real = os.path.realpath(lower)
            if real != lower:
                raise HostError(what, f"landed on {real} instead (a link on the way?), unmounted again")
            if fstype == "nullfs":
                below = self._lower(source)
                if not os.path.exists(below):  # noqa: PTH110
                    raise MissingError(what, f"mount_nullfs: {source}: No such file or directory")
                if below == lower:
                    raise HostError(what, f"mount_nullfs: {target}: Resource deadlock avoided")
            seen = MountSeen(source, str(target), fstype, f"{next(self.numbers):016x}", "ro" in options)
            self.mount_table.append(seen)
            return seen

    async def unmount(self, mount: str | MountSeen, *, force: bool = False, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("unmount", lock):
            entry = self._named(mount)
            if entry is None:
                return
            if not force and self._busy(entry):
                raise BusyError(
                    f"unmount {entry.target}", f"umount: unmount of {entry.target} failed: Device busy"
                )
            self.mount_table.remove(entry)

    def _named(self, mount: str | MountSeen) -> MountSeen | None:
        for seen in reversed(self.mount_table):
            if mount in (seen, seen.fsid, seen.target):
                return seen
        return None

    def _busy(self, entry: MountSeen) -> bool:
        """Tells whether a jail's root or another mount lies on this very file system."""
        table = self.mount_table
        covered = [self._holding(seen.target, table[:number]) for number, seen in enumerate(table)]
        return entry in covered or any(
            self._holding(jail.path, table) is entry for jail in self.jail_table.values()
        )

    def _lower(self, path: str, mounts: Sequence[MountSeen] | None = None) -> str:
        """Follows nullfs mounts down to the directory that is really meant."""
        table = self.mount_table if mounts is None else mounts
        holding = self._holding(path, table)
        if holding is None or holding.fstype != "nullfs":
            return path
        inside = os.path.relpath(path, holding.target)
        below = os.path.normpath(os.path.join(holding.source, inside))  # noqa: PTH118  # text, as above
        return self._lower(below, table[: table.index(holding)])

    @staticmethod
    def _holding(path: str, table: Sequence[MountSeen]) -> MountSeen | None:
        """Returns the file system that a path is on: the deepest target, of equals the latest."""
        best = None
        for seen in table:
            inside = path == seen.target or path.startswith(seen.target.rstrip("/") + "/")
            if inside and (best is None or len(seen.target) >= len(best.target)):
                best = seen
        return best
