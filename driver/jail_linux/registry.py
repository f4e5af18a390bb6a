"""What a kernel would remember of jails, in a directory: one record a jail, under one lock.

    lock          flock(2): shared to look, exclusive to change
    boot          boot id of the kernel whose jails these are
    next          the next jail id
    jails/JID/    record (JSON), uts and net (bind mounts of the jail's namespaces)
    names/NAME    symbolic link to the JID of the living jail of that name
    roots/JID     symbolic link to the jail's root
    due/JID       marks what the next command has to look at: half made, dying, or without persist

A jail exists as long as its `uts` file is the namespace that its record names: a reboot, or the end of the
mount namespace that it was made in, ends it by itself, and the next command drops what is left.
"""

import fcntl
import os
import time

from jail_linux.files import empty, read_file, remove_file, write_file
from jail_linux.jsontext import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from jail_linux.settings import Settings

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_FOLDERS = ("jails", "names", "roots", "mounts", "due")
_MAX_LINK = 200
_DYING_JID = 999999


def uptime() -> float:
    """Seconds since boot, sleep included: unlike the wall clock it is never stepped."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Jail:
    """One jail, as its record says.

    Attributes:
        jid: The number.
        name: The name, at most 255 bytes.
        path: Real path of its root.
        parent: Number of the jail around it, 0 for none.
        persist: Whether it lives without processes.
        uts: Inode of its UTS namespace; a process is inside if /proc/PID/ns/uts is this.
        net: Inode of its network namespace, 0 where it shares the host's.
        params: Other parameters that were set, as text, by kernel name.
        removed_s: Uptime of its removal in seconds; None while it lives.
        cpus: Processor numbers that it is bound to; None for all.
        extra: Facts that single commands keep here (usage samples, for instance).
    """

    __slots__ = (
        "cpus",
        "extra",
        "jid",
        "name",
        "net",
        "params",
        "parent",
        "path",
        "persist",
        "removed_s",
        "uts",
    )

    def __init__(self, jid: int, name: str, path: str) -> None:
        self.jid = jid
        self.name = name
        self.path = path
        self.parent = 0
        self.persist = False
        self.uts = 0
        self.net = 0
        self.params: dict[str, str] = {}
        self.removed_s: float | None = None
        self.cpus: list[int] | None = None
        self.extra: dict[str, Any] = {}

    @property
    def dying(self) -> bool:
        """Whether it was removed but something still holds it."""
        return self.removed_s is not None

    def to_text(self) -> str:
        """Write the record."""
        return dumps({field: getattr(self, field) for field in self.__slots__})

    @classmethod
    def from_text(cls, text: str) -> "Jail":
        """Read a record that `to_text` wrote."""
        values = loads(text)
        jail = cls(values["jid"], values["name"], values["path"])
        for field, value in values.items():
            setattr(jail, field, value)
        return jail


class Registry:
    """The directory, and the lock on it while it is used in a `with` block."""

    def __init__(self, settings: "Settings", *, exclusive: bool) -> None:
        """Name the registry of a tools directory; nothing is opened before the `with` block.

        Args:
            settings: Of the tools directory.
            exclusive: Whether anything will be changed.
        """
        self.settings = settings
        self.root = settings.registry
        self.exclusive = exclusive
        self._lock = -1

    def __enter__(self) -> "Self":
        if not os.path.isdir(f"{self.root}/{_FOLDERS[-1]}"):
            for folder in _FOLDERS:
                os.makedirs(f"{self.root}/{folder}", mode=0o700, exist_ok=True)
        self._lock = os.open(f"{self.root}/lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX if self.exclusive else fcntl.LOCK_SH)
        boot_id = self.settings.boot_id or read_file(_BOOT_ID)
        if read_file(f"{self.root}/boot") != boot_id:
            self._forget(boot_id or "")
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        problem: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        os.close(self._lock)
        self._lock = -1

    def _forget(self, boot_id: str) -> None:
        """Start empty: whatever is recorded died with the kernel that it was recorded under."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        if read_file(f"{self.root}/boot") != boot_id:
            for folder in _FOLDERS:
                empty(f"{self.root}/{folder}")
            for name in ("next", "rules", "kenv", "devfs"):
                remove_file(f"{self.root}/{name}")
            write_file(f"{self.root}/boot", boot_id)
        if not self.exclusive:
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    def folder(self, jid: int) -> str:
        """Directory of one jail's record and namespaces."""
        return f"{self.root}/jails/{jid}"

    def get(self, jid: int) -> "Jail | None":
        """Read one jail by number, dying ones included; None if there is none."""
        text = read_file(f"{self.folder(jid)}/record")
        if text is None:
            return None
        jail = Jail.from_text(text)
        if self.is_there(jail):
            return jail
        self.note_due(jid)
        return None

    def is_there(self, jail: Jail) -> bool:
        """Whether the namespace that makes this jail still stands at its place."""
        try:
            return os.stat(f"{self.folder(jail.jid)}/uts").st_ino == jail.uts
        except OSError:
            return False

    def all(self) -> list[Jail]:
        """Read all jails by number, dying ones included."""
        numbers = sorted(int(name) for name in os.listdir(f"{self.root}/jails") if name.isdigit())
        return [jail for jail in map(self.get, numbers) if jail is not None]

    def named(self, name: str) -> "Jail | None":
        """Find a jail by name or number: a living one, else a dying one, else None."""
        if name.isdigit():
            return self.get(int(name))
        try:
            jail = self.get(int(os.readlink(self._link(name))))
        except OSError:
            jail = None
        if jail is not None and jail.name == name and not jail.dying:
            return jail
        # Dying jails have no link, and long names share one.
        is_long = len(self._link(name)) >= len(self._link("")) + _MAX_LINK
        others = self.all() if is_long else filter(None, map(self.get, self.due()))
        found = [jail for jail in others if jail.name == name]
        found.sort(key=lambda jail: jail.dying)
        return found[0] if found else None

    def note_due(self, jid: int) -> None:
        """Mark a jail for the next sweep; a shared lock is enough."""
        os.close(os.open(f"{self.root}/due/{jid}", os.O_WRONLY | os.O_CREAT, 0o600))

    def due(self) -> list[int]:
        """Numbers of the jails that a sweep has to look at."""
        return [int(name) for name in os.listdir(f"{self.root}/due")]

    def roots(self) -> list[str]:
        """Roots of all jails, dying ones included."""
        folder = f"{self.root}/roots"
        return [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]

    def below(self, jail: Jail) -> "list[Jail]":
        """Living jails whose parent this one is."""
        prefix = os.path.basename(self._link(jail.name + "."))
        names = [name for name in os.listdir(f"{self.root}/names") if name.startswith(prefix)]
        found = [self.get(int(os.readlink(f"{self.root}/names/{name}"))) for name in names]
        return [
            child for child in found if child is not None and child.parent == jail.jid and not child.dying
        ]

    def take_number(self) -> int:
        """Give out the next free jail id."""
        jid = int(read_file(f"{self.root}/next") or 1)
        while os.path.exists(self.folder(jid)):
            jid += 1
        write_file(f"{self.root}/next", str(jid + 1))
        return jid

    def save(self, jail: Jail) -> None:
        """Write a jail's record, its root, and its name if it lives."""
        root = f"{self.root}/roots/{jail.jid}"
        if not os.path.lexists(root):
            os.symlink(jail.path, root)
        write_file(f"{self.folder(jail.jid)}/record", jail.to_text())
        link = self._link(jail.name)
        if not jail.dying and not jail.name.isdigit():
            remove_file(link)
            os.symlink(str(jail.jid), link)
        if jail.dying or not jail.persist:
            self.note_due(jail.jid)
        else:
            remove_file(f"{self.root}/due/{jail.jid}")

    def free_number(self, jail: Jail) -> None:
        """Move a dying jail to a high number, as the kernel does when a new one wants its own."""
        jid = _DYING_JID
        while os.path.exists(self.folder(jid)):
            jid -= 1
        self.note_due(jid)
        os.rename(self.folder(jail.jid), self.folder(jid))
        self.drop_links(jail.jid)
        jail.jid = jid
        self.save(jail)

    def drop_links(self, jid: int) -> None:
        """Forget a number that no jail has any more."""
        remove_file(f"{self.root}/roots/{jid}")
        remove_file(f"{self.root}/due/{jid}")

    def drop_name(self, jail: Jail) -> None:
        """Free a jail's name, if the name leads to this jail."""
        link = self._link(jail.name)
        try:
            if os.readlink(link) == str(jail.jid):
                os.unlink(link)
        except OSError:
            pass

    def _link(self, name: str) -> str:
        safe = "".join(c if (c.isascii() and c.isalnum()) or c in "-_" else f"%{ord(c):x}." for c in name)
        return f"{self.root}/names/{safe[:_MAX_LINK]}"
