"""The mount table as FreeBSD would show it, from /proc/self/mountinfo.

A nullfs mount is a bind mount here, a devfs is a tmpfs whose source says devfs. What a nullfs mount was made
from is not in mountinfo in the words of its maker, so `mount` notes it in the registry, by fsid; where there
is no note (another tool's bind mount, or a run killed in between) the source is worked out.
"""

import binascii
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_TYPES = {"proc": "procfs", "sysfs": "linsysfs", "devtmpfs": "devfs", "fuseblk": "fusefs", "nfs4": "nfs"}
_MARKED = {"devfs", "fdescfs", "linprocfs", "procfs", "linsysfs"}
_NOT_LOCAL = {"devfs", "fdescfs", "nfs", "fusefs", "autofs"}
_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))
_FSID_DIGITS = 16
HIDDEN = ".proc"  # a stand-in devfs or fdescfs keeps a view of /proc under this name


class Mount:
    """One mounted file system.

    Attributes:
        number: Linux's mount id.
        device: major:minor of the file system.
        inner: Path inside the file system that is mounted.
        target: Where it is mounted.
        options: Linux's options of this mount.
        kind: Linux's file system type.
        source: FreeBSD's f_mntfromname.
        fstype: FreeBSD's f_fstypename.
        fsid: 16 hex digits, unlike those of any other mount now and, in all likelihood, ever.
    """

    __slots__ = ("device", "fsid", "fstype", "inner", "kind", "number", "options", "source", "target")

    def __init__(self, line: str) -> None:
        fields = line.split(" ")
        tail = fields.index("-", 6)
        self.number = int(fields[0])
        self.device = fields[2]
        self.inner = _plain(fields[3])
        self.target = _plain(fields[4])
        self.options = fields[5].split(",")
        self.kind = fields[tail + 1]
        self.source = _plain(fields[tail + 2])
        self.fstype = self.source if self.source in _MARKED else _TYPES.get(self.kind, self.kind)
        check = binascii.crc32(f"{self.device} {self.inner} {self.target}".encode("utf-8", "surrogateescape"))
        self.fsid = (self.number.to_bytes(4, "little") + check.to_bytes(4, "little")).hex()

    @property
    def readonly(self) -> bool:
        """Whether this mount is read-only."""
        return "ro" in self.options

    def words(self) -> list[str]:
        """FreeBSD's words for the options, in mount(8)'s order."""
        flags = [
            ("local", self.fstype not in _NOT_LOCAL),
            ("noatime", "noatime" in self.options),
            ("noexec", "noexec" in self.options),
            ("nosuid", "nosuid" in self.options),
            ("nosymfollow", "nosymfollow" in self.options),
            ("read-only", self.readonly),
        ]
        return [word for word, present in flags if present]


def _plain(text: str) -> str:
    """Undo mountinfo's octal escapes of blank, tab, newline and backslash."""
    if "\\" not in text:
        return text
    for code, character in _ESCAPES:
        text = text.replace(code, character)
    return text


def _escaped(text: str) -> str:
    """Write a path as mountinfo does."""
    for code, character in reversed(_ESCAPES):
        text = text.replace(character, code)
    return text


def read(settings: "Settings") -> list[Mount]:
    """Read the table, oldest mount first, without what the stand-ins keep for themselves.

    Args:
        settings: Of the tools directory, for the notes.

    Returns:
        The mounts that are visible from this process's root.
    """
    mounts = everything()
    devices = {mount.target for mount in mounts if mount.source == "devfs"}
    notes = noted(settings)
    forced = forced_below(mounts, notes)
    seen: dict[str, Mount] = {}
    shown = []
    for mount in mounts:
        if mount.kind == "nsfs" or mount.number in forced or is_hidden(mount, devices):
            continue
        if mount.fsid in notes:
            mount.fstype, mount.source = notes[mount.fsid]
        elif mount.kind not in {"proc", "sysfs", "cgroup", "cgroup2", "devpts"} and _is_bind(mount, seen):
            mount.source = _guess_source(mount, mounts)
            mount.fstype = "nullfs"
        seen.setdefault(mount.device, mount)
        shown.append(mount)
    return shown


def lines() -> list[str]:
    """Read the table as Linux writes it, a line a mount."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read().split("\n")[:-1]


def everything() -> list[Mount]:
    """Read the table as Linux has it, every mount included."""
    return [Mount(line) for line in lines()]


def below(table: list[str], target: str) -> list[Mount]:
    """Mounts below a place, whoever made them.

    Args:
        table: From `lines`; with thousands of mounts it pays to take only these apart.
        target: The place.
    """
    needle = f" {_escaped(target.rstrip('/'))}/"
    found = [Mount(line) for line in table if needle in line]
    prefix = target.rstrip("/") + "/"
    return [mount for mount in found if mount.target.startswith(prefix)]


def known(settings: "Settings", table: list[str], word: str) -> "Mount | None":
    """Find a mount by its fsid or, the latest first, by where it is.

    Args:
        settings: Of the tools directory, for the notes.
        table: From `lines`.
        word: 16 hex digits, or a real path.
    """
    if len(word) == _FSID_DIGITS and not word.startswith("/"):
        try:
            number = int.from_bytes(bytes.fromhex(word)[:4], "little")
        except ValueError:
            return None
        candidates = [Mount(line) for line in table if line.startswith(f"{number} ")]
        found = next((mount for mount in candidates if mount.fsid == word.lower()), None)
    else:
        needle = f" {_escaped(word)} "
        candidates = [Mount(line) for line in table if needle in line]
        found = next((mount for mount in reversed(candidates) if mount.target == word), None)
    if found is not None:
        try:
            found.fstype, found.source = _note(f"{settings.registry}/mounts/{found.fsid}")
        except OSError:
            pass  # another tool's
    return found


def is_hidden(mount: Mount, devices: set[str]) -> bool:
    """Whether a mount is a part of a stand-in devfs or fdescfs rather than a mount of its own.

    Args:
        mount: The mount.
        devices: Targets of all stand-in devfs mounts.
    """
    head, _, last = mount.target.rpartition("/")
    if last == HIDDEN:
        return True
    if mount.kind not in {"devtmpfs", "tmpfs", "devpts"} or mount.inner == "/":
        return False
    return head in devices


def forced_below(mounts: list[Mount], notes: dict[str, tuple[str, str]]) -> set[int]:
    """Mounts that stand below a nullfs mount only because the kernel demands it.

    In a user namespace a view of a directory has to show the mounts below the directory. Nobody asked for
    these copies, so they are no mounts of their own: whatever stands below a nullfs mount without a note.

    Args:
        mounts: The whole table.
        notes: From `noted`.

    Returns:
        Linux's ids of them.
    """
    if read_id_map().split() == ["0", "0", "4294967295"]:
        return set()
    views = {mount.target for mount in mounts if notes.get(mount.fsid, ("", ""))[0] == "nullfs"}
    found = set()
    for mount in mounts:
        if mount.fsid in notes:
            continue
        folder = mount.target
        while folder and folder != "/":
            folder = folder.rpartition("/")[0]
            if folder in views:
                found.add(mount.number)
                break
    return found


def read_id_map() -> str:
    """Read the map of this process's user namespace; the machine's own maps every id to itself."""
    with open("/proc/self/uid_map", encoding="ascii") as stream:
        return stream.read()


def _is_bind(mount: Mount, seen: dict[str, Mount]) -> bool:
    return mount.inner != "/" or mount.device in seen


def _guess_source(mount: Mount, mounts: list[Mount]) -> str:
    for other in mounts:
        if other.device != mount.device or other is mount:
            continue
        inner = other.inner.rstrip("/")
        if mount.inner == other.inner or mount.inner.startswith(inner + "/"):
            return os.path.normpath(other.target + "/" + mount.inner[len(inner) :])
    return mount.inner


def noted(settings: "Settings") -> dict[str, tuple[str, str]]:
    """Read what `note` remembered: type and source by fsid."""
    found: dict[str, tuple[str, str]] = {}
    folder = f"{settings.registry}/mounts"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return found
    for name in names:
        try:
            found[name] = _note(f"{folder}/{name}")
        except OSError:
            continue
    return found


def _note(path: str) -> tuple[str, str]:
    fstype, _, source = os.readlink(path).partition(":")
    return fstype, source


def note(settings: "Settings", fsid: str, fstype: str, source: str) -> None:
    """Remember type and source of a mount, as the text of a symbolic link: made in one step, or not at all."""
    folder = f"{settings.registry}/mounts"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    forget(settings, fsid)
    os.symlink(f"{fstype}:{source}", f"{folder}/{fsid}")


def forget(settings: "Settings", fsid: str) -> None:
    """Drop the note on a mount that is gone."""
    try:
        os.unlink(f"{settings.registry}/mounts/{fsid}")
    except FileNotFoundError:
        pass


def at(target: str) -> "Mount | None":
    """Find the mount that a path leads to, if the path is its root.

    Args:
        target: A real path, without symbolic links.

    Returns:
        The topmost mount there, or None where the path is no root of a mount.
    """
    descriptor = os.open(target, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as stream:
            number = next(int(line.split()[1]) for line in stream if line.startswith("mnt_id:"))
    finally:
        os.close(descriptor)
    rows = [line for line in lines() if line.startswith(f"{number} ")]
    return next((mount for mount in map(Mount, rows) if mount.target == target), None)
