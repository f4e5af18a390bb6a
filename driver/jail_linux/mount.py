"""mount(8): nullfs, devfs, fdescfs, tmpfs, procfs, linprocfs, linsysfs, and the mount table."""

import errno
import os

from jail_linux import mounttable, options
from jail_linux.failure import Failure, error_text
from jail_linux.jsontext import quoted
from jail_linux.program import out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.mounttable import Mount
    from jail_linux.settings import Settings

_USAGE = [
    "usage: mount [-adflpruvw] [-F fstab] [-o options] [-t ufs | external_type]",
    "       mount [-dfpruvw] special | node",
    "       mount [-dfpruvw] [-o options] [-t ufs | external_type] special node",
]
_EX_USAGE = 64
# Option words that change nothing here; each is valid on FreeBSD for the type.
_IGNORED = {
    "rw",
    "noro",
    "late",
    "async",
    "sync",
    "nocache",
    "cache",
    "suid",
    "exec",
    "atime",
    "acls",
    "multilabel",
    "emptydir",
}
_OWN = {
    "tmpfs": {
        "size",
        "mode",
        "uid",
        "gid",
        "inodes",
        "maxfilesize",
        "export",
        "nonc",
        "nomtime",
        "easize",
        "pgread",
    },
    "devfs": {"ruleset"},
    "fdescfs": {"linrdlnk", "rdlnk", "nodup"},
    "procfs": set(),
    "linprocfs": set(),
    "linsysfs": set(),
    "nullfs": set(),
}
_SUFFIXES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run mount.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status.

    Raises:
        Failure: With mount's words and status.
    """
    style, arguments = options.take_libxo("mount", arguments)
    found, words = options.parse("mount", "adF:flo:prt:uvw", arguments, _USAGE)
    letters = dict(found)
    if not words:
        kinds = letters["t"].split(",") if "t" in letters else None
        shown = [one for one in mounttable.read(settings) if kinds is None or one.fstype in kinds]
        out(_render(shown, style, verbose="v" in letters, fstab="p" in letters))
        return 0
    given = [option for letter, value in found if letter == "o" for option in value.split(",") if option]
    if "r" in letters:
        given.append("ro")
    if "u" in letters:
        return _update(settings, words[-1], given)
    if len(words) != 2 or "a" in letters:  # noqa: PLR2004  # special and node
        raise Failure(*_USAGE)
    _attach(settings, letters.get("t", "ufs"), words[0], words[1], given)
    return 0


def _attach(settings: "Settings", fstype: str, special: str, node: str, given: list[str]) -> None:
    from jail_linux import attach  # listing needs no ctypes

    try:
        target = os.path.realpath(node, strict=True)
    except OSError as problem:
        raise Failure(f"mount: {node}: {error_text(problem.errno or 0)}") from None
    if fstype not in _OWN:
        raise Failure(f"mount: {special}: Invalid fstype: Invalid argument")
    words, own = _split(fstype, special, given)
    source = special
    try:
        _check_empty(target, given)
        if fstype == "nullfs":
            source = _nullfs(special, target)
            attach.bind(source, target, words)
        elif fstype == "tmpfs":
            attach.fresh("tmpfs", special, target, words, _tmpfs_data(own))
        elif fstype == "devfs":
            attach.devices(target, words)
            _rule(settings, own.get("ruleset", "0"), target)
        elif fstype == "fdescfs":
            attach.descriptors(target, words)
        elif fstype == "linsysfs":
            attach.sys(fstype, target, words)
        else:
            attach.proc(fstype, target, words)
    except OSError as problem:
        who = f"mount_nullfs: {target}" if fstype == "nullfs" else f"mount: {special}"
        raise Failure(f"{who}: {error_text(problem.errno or 0)}") from None
    made = mounttable.at(target)
    if made is not None:
        mounttable.note(settings, made.fsid, fstype, source)


def _check_empty(target: str, given: list[str]) -> None:
    """Keep mount(8)'s `emptydir`: nothing may be hidden by the mount."""
    if "emptydir" in given and os.path.isdir(target) and os.listdir(target):
        raise OSError(errno.ENOTEMPTY, target)


def _rule(settings: "Settings", text: str, target: str) -> None:
    """Apply `-o ruleset=N` to a new devfs."""
    if text.isdigit() and int(text):
        from jail_linux import devrules
        from jail_linux.registry import Registry

        with Registry(settings, exclusive=False) as registry:
            devrules.apply(devrules.load(registry), int(text), target)


def _nullfs(special: str, target: str) -> str:
    """Resolve the lower directory; what the target already shows cannot be mounted there again."""
    try:
        source = os.path.realpath(special, strict=True)
    except OSError as problem:
        raise Failure(
            f"mount_nullfs: {special}: {error_text(problem.errno or 0)}", status=_EX_USAGE
        ) from None
    if os.path.samestat(os.stat(source), os.stat(target)):
        raise Failure(f"mount_nullfs: {target}: {error_text(errno.EDEADLK)}")
    return source


def _split(fstype: str, special: str, given: list[str]) -> tuple[set[str], dict[str, str]]:
    from jail_linux.attach import FLAGS  # as above

    words: set[str] = set()
    own: dict[str, str] = {}
    for option in given:
        name, _, value = option.partition("=")
        if name in FLAGS:
            words.add(name)
        elif name in {"rw", "noro"}:
            words.discard("ro")
        elif name in _OWN[fstype]:
            own[name] = value
        elif name not in _IGNORED:
            raise Failure(f"mount: {special}: mount option <{name}> is unknown: Invalid argument")
    return words, own


def _tmpfs_data(own: dict[str, str]) -> str:
    """Say tmpfs(5) options in Linux's words; a size that is no number means no limit, as on FreeBSD."""
    parts = []
    size = own.get("size", "").lower()
    digits = size.rstrip("bkmgt")
    if digits.isdigit() and size[len(digits) :] in _SUFFIXES and int(digits):
        parts.append(f"size={int(digits) * _SUFFIXES[size[len(digits) :]]}")
    parts.append(f"mode={own.get('mode') or '1777'}")
    parts += [f"{name}={own[name]}" for name in ("uid", "gid") if own.get(name, "").isdigit()]
    return ",".join(parts)


def _update(settings: "Settings", node: str, given: list[str]) -> int:
    from jail_linux import attach, kernel  # as above

    target = os.path.realpath(node)
    mount = next((one for one in reversed(mounttable.read(settings)) if one.target == target), None)
    if mount is None:
        raise Failure(f"mount: not currently mounted {node}")
    words, _ = _split(mount.fstype if mount.fstype in _OWN else "nullfs", mount.source, given)
    flags = kernel.MS_REMOUNT | kernel.MS_BIND
    for word in words:
        flags |= attach.FLAGS[word]
    try:
        kernel.mount("none", target, None, flags)
    except OSError as problem:
        raise Failure(f"mount: {mount.source}: {error_text(problem.errno or 0)}") from None
    return 0


def _render(mounts: "list[Mount]", style: str, *, verbose: bool, fstab: bool) -> str:
    if style == "json":
        records = ", ".join(_json(mount, verbose=verbose) for mount in mounts)
        return '{"mount": {"mounted": [' + records + "]}}\n"
    if fstab:
        return "".join(map(_fstab_line, mounts))
    return "".join(_line(mount, verbose=verbose) for mount in mounts)


def _line(mount: "Mount", *, verbose: bool) -> str:
    words = [mount.fstype, *mount.words()]
    if verbose:
        words.append(f"fsid {mount.fsid}")
    return f"{mount.source} on {mount.target} ({', '.join(words)})\n"


def _json(mount: "Mount", *, verbose: bool) -> str:
    text = f'{{"special":{quoted(mount.source)},"node":{quoted(mount.target)},"fstype":{quoted(mount.fstype)}'
    words = mount.words()
    if words:
        text += ', "opts": [' + ", ".join(map(quoted, words)) + "]"
    if verbose:
        text += f',"fsid":"{mount.fsid}"'
    return text + "}"


def _fstab_line(mount: "Mount") -> str:
    given = [
        word
        for word, linux in (("noatime", "noatime"), ("noexec", "noexec"), ("nosuid", "nosuid"))
        if linux in mount.options
    ]
    flags = ",".join(["ro" if mount.readonly else "rw", *given])
    source, target = _vis(mount.source), _vis(mount.target)
    return (
        f"{_padded(source)}{_padded(target)}{mount.fstype}\t{flags}\t{chr(9) if len(flags) < 8 else ''}0 0\n"  # noqa: PLR2004  # a tab stop
    )


def _padded(text: str) -> str:
    """End a column with as many tabs as it takes to reach the third tab stop, or one blank."""
    return text + ("\t" * max(1, 3 - len(text) // 8) if len(text) < 24 else " ")  # noqa: PLR2004  # tab stops


def _vis(text: str) -> str:
    """Write blanks as fstab(5) needs them."""
    return text.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")
