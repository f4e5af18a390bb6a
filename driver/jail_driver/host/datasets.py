"""ZFS datasets of jails by zfs(8).

The words are those of OpenZFS's sources (lib/libzfs: EEXIST and ENOENT of the ioctl), not of a recording.
"""

from __future__ import annotations

from pathlib import Path

from jail_driver.host.errors import HostError
from jail_driver.host.shell import HostCommands, refusal, says


class DatasetCommands(HostCommands):
    """The part of the adapter that hands datasets to jails and takes them back."""

    async def attach_dataset(self, jid: int, dataset: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``zfs jail JID DATASET`` (zfs-jail(8))."""
        what = f"hand the dataset {dataset} to jail {jid}"
        done = await self._change(self._zfs(what), "jail", str(jid), dataset, lock=lock)
        if not done.ok and not says(done, "already exists"):
            raise refusal(done, what, {})

    async def detach_dataset(self, jid: int, dataset: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``zfs unjail JID DATASET`` (zfs-unjail(8))."""
        what = f"take the dataset {dataset} back from jail {jid}"
        done = await self._change(self._zfs(what), "unjail", str(jid), dataset, lock=lock)
        if not done.ok and not says(done, "does not exist", "invalid jail id"):
            raise refusal(done, what, {})

    def _zfs(self, what: str) -> str:
        if not self._tools.zfs:
            raise HostError(what, "this host has no zfs(8)")
        return self._tools.zfs
