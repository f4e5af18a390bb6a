"""The mount table by mount(8) and umount(8)."""

from __future__ import annotations

import os.path
import re
from collections.abc import Sequence
from pathlib import Path

from jail_driver.errors import ConfigError
from jail_driver.host import parse
from jail_driver.host.command import Completed, Runner
from jail_driver.host.errors import BusyError, HostError, MissingError
from jail_driver.host.port import MountSeen
from jail_driver.host.shell import HostCommands, Listing, refusal, says
from jail_driver.host.tools import Tools

_FSTYPE = re.compile(r"[a-z0-9_]+")
# `-o -x` becomes an argument of mount_nullfs(8), and mountprog= runs any program (mount.c).
_OPTION = re.compile(r"(?!mountprog|update$)[A-Za-z_][A-Za-z0-9_.-]*(=[^,\0]*)?")
_FSID = re.compile(r"[0-9a-f]{16}")
_EMPTY = "emptydir"
_GONE = ("not a file system root directory", "unknown file system", "statfs: No such file or directory")


class MountCommands(HostCommands):
    """The part of the adapter that mounts, shows and unmounts."""

    def __init__(self, tools: Tools, runner: Runner | None = None) -> None:
        super().__init__(tools, runner)
        self._mounts = Listing(self._list_mounts)
        self._last_seen: frozenset[MountSeen] | None = None
        self._asked: set[str] = set()
        self._has_json = True

    async def mounts(self) -> tuple[MountSeen, ...]:
        """See ``JailHost``: ``mount -v --libxo json`` (mount(8); -v adds the fsid)."""
        return await self._mounts.get()

    async def mount(
        self,
        fstype: str,
        source: str,
        target: Path,
        options: Sequence[str] = (),
        *,
        lock: Path | None = None,
    ) -> MountSeen:
        """See ``JailHost``: ``mount -t TYPE [-o OPTIONS] SOURCE TARGET`` (mount(8), mount_nullfs(8))."""
        check_mount(fstype, source, target, options)
        known = self._last_seen if self._last_seen is not None else frozenset(await self.mounts())
        self._asked.add(str(target))
        done = await self._mount(fstype, source, target, options, lock)
        if not done.ok and says(done, f"<{_EMPTY}> is unknown"):
            # FreeBSD 12 does not know it yet, where a file system checks its options (devfs, tmpfs; nullfs does not).
            rest = [option for option in options if option != _EMPTY]
            done = await self._mount(fstype, source, target, rest, lock)
        what = f"mount {source} on {target}"
        if not done.ok:
            raise refusal(done, what, {"No such file or directory": MissingError, "Device busy": BusyError})
        return await self._verify(what, fstype, source, target, known)

    async def _mount(
        self, fstype: str, source: str, target: Path, options: Sequence[str], lock: Path | None
    ) -> Completed:
        chosen = ["-o", ",".join(options)] if options else []
        return await self._change(self._tools.mount, "-t", fstype, *chosen, source, str(target), lock=lock)

    async def unmount(self, mount: str | MountSeen, *, force: bool = False, lock: Path | None = None) -> None:
        """See ``JailHost``: ``umount [-f] FSID`` (umount(8)).

        umount(8) takes a path also for the *source* of another mount; so a target is looked up here.
        """
        if isinstance(mount, MountSeen) or not _FSID.fullmatch(mount):
            entry = await self._find(mount)
            if entry is None:
                return
            name = entry.fsid or entry.target
        else:
            name = mount
        done = await self._change(self._tools.umount, *(["-f"] if force else []), name, lock=lock)
        if not done.ok and not says(done, *_GONE):
            raise refusal(done, f"unmount {_shown(mount)}", {"Device busy": BusyError})

    async def _find(self, mount: str | MountSeen) -> MountSeen | None:
        table = await self.mounts()
        if isinstance(mount, MountSeen):
            same = [seen for seen in table if (seen.fsid, seen.target) == (mount.fsid, mount.target)]
        else:
            same = [seen for seen in table if seen.target == mount.rstrip("/")]
        return same[-1] if same else None

    async def _verify(
        self, what: str, fstype: str, source: str, target: Path, known: frozenset[MountSeen]
    ) -> MountSeen:
        table = await self.mounts()
        there = [seen for seen in table if seen.target == str(target) and seen.fstype == fstype]
        new = [seen for seen in there if seen not in known]
        if new:
            return new[-1]
        # Other tasks mount the same source at the same time: theirs are where they were asked for.
        strays = [
            seen
            for seen in table
            if _is_of(seen, fstype, source) and seen not in known and seen.target not in self._asked
        ]
        if len(strays) == 1 and strays[0].fsid:
            await self.unmount(strays[0])
            raise HostError(
                what, f"landed on {strays[0].target} instead (a link on the way?), unmounted again"
            )
        if there and not strays:
            # It looks exactly like one that was unmounted since the last listing: fsids are used again.
            return there[-1]
        raise HostError(what, f"not in the mount table afterwards; new there: {[s.target for s in strays]}")

    async def _list_mounts(self) -> tuple[MountSeen, ...]:
        if self._has_json:
            done = await self._look(self._tools.mount, "-v", "--libxo", "json")
            if done.ok:
                return self._remember(parse.mounts(done.stdout))
            if not says(done, "illegal option"):
                done.check("list mounts")
            self._has_json = False
        done = await self._look(self._tools.mount, "-v")
        return self._remember(parse.text_mounts(done.check("list mounts").stdout))

    def _remember(self, table: tuple[MountSeen, ...]) -> tuple[MountSeen, ...]:
        self._last_seen = frozenset(table)
        return table


def _is_of(seen: MountSeen, fstype: str, source: str) -> bool:
    return seen.fstype == fstype and seen.source in {source, os.path.realpath(source)}


def check_mount(fstype: str, source: str, target: Path, options: Sequence[str]) -> None:
    """Refuses what mount(8) would take for something else.

    Raises:
        ConfigError: naming every such thing.
    """
    problems = []
    if not _FSTYPE.fullmatch(fstype):
        problems.append(f"{fstype!r} is not the name of a file system type")
    if not source or source.startswith("-") or "\0" in source:
        problems.append(f"{source!r} cannot be mounted: it is empty, begins with '-' or holds a NUL")
    if str(target) != os.path.normpath(target) or not target.is_absolute():
        problems.append(f"{str(target)!r} is not a plain absolute path")
    problems += [
        f"{o!r} is not a mount option that may be used here" for o in options if not _OPTION.fullmatch(o)
    ]
    if problems:
        raise ConfigError(*problems)


def _shown(mount: str | MountSeen) -> str:
    return mount.target if isinstance(mount, MountSeen) else mount
