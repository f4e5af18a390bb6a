"""A root for demonstrations: read-only mounts of the host's own directories, so nothing is downloaded.

It holds the host's programs and libraries, the prefix of the Python that runs us, an ``/etc`` of its own
and our ``http-echo`` as ``/usr/local/bin/http-echo``. Nothing of the host's configuration, of users' files
or of ``/var`` is visible in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_SYSTEM = (
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libexec",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
)
_OWN = (
    "alloc",
    "local",
    "secrets",
    "dev",
    "proc",
    "etc",
    "root",
    "tmp",
    "var/run",
    "var/tmp",
    "usr/local/bin",
)
_PASSWD = "root:*:0:0:root:/root:/bin/sh\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"  # noqa: S105  # no password in it
_GROUP = "wheel:*:0:root\nnogroup:*:65534:\n"
_HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost\n"
_LINUX_ON_FREEBSD = "/compat/linux"
"""A Linux program on FreeBSD sees this directory's tree first; FreeBSD's own mount(8) does not."""


class Mounter(Protocol):
    """The part of ``JailHost`` that the demo root needs."""

    async def mount(self, fstype: str, source: str, target: Path, options: tuple[str, ...] = ()) -> object:
        """Mounts ``source`` on ``target``."""
        ...

    async def unmount(self, mount: str) -> None:
        """Unmounts what is mounted at the absolute path ``mount``; not mounted is fine."""
        ...


@dataclass(frozen=True, slots=True)
class Survey:
    """What the root is made of.

    Args:
        mounts: host directories, each shown at its own path.
        links: symbolic links by path, for example ``/bin`` to ``usr/bin``.
        interpreter: absolute path of the Python inside.
        copied: whether the interpreter's file is copied, because its directory is our own inside.
    """

    mounts: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    interpreter: str
    copied: bool


def _covered(path: str, directories: Iterable[str]) -> bool:
    return any(path == directory or path.startswith(f"{directory}/") for directory in directories)


def _mapped_files(interpreter: str) -> list[str]:
    """Returns the libraries that our program really maps; empty where the system has no /proc for it."""
    program = "import http.server, socket, argparse; print(open('/proc/self/maps').read())"
    done = subprocess.run(
        [interpreter, "-IS", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    fields = (line.split(maxsplit=5) for line in done.stdout.splitlines())
    return sorted({field[5] for field in fields if len(field) > 5 and field[5].startswith("/")})  # noqa: PLR2004


def survey() -> Survey:
    """Looks at this host and its Python."""
    interpreter = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    mounts: list[str] = []
    links: list[tuple[str, str]] = []
    for path in _SYSTEM:
        if Path(path).is_symlink():
            links.append((path, str(Path(path).readlink())))
        elif Path(path).is_dir():
            mounts.append(path)
    for prefix in dict.fromkeys((sys.base_prefix, sys.base_exec_prefix)):
        mounts += [part for part in _parts_of(os.path.realpath(prefix)) if not _covered(part, mounts)]
    for file in _mapped_files(interpreter):
        directory = os.path.realpath(Path(file).parent)
        if not _covered(directory, (*mounts, "/usr/local/bin")):
            mounts.append(directory)
    return Survey(tuple(mounts), tuple(links), interpreter, not _covered(interpreter, mounts))


def _parts_of(prefix: str) -> list[str]:
    """Splits a prefix that would hide our own ``/usr/local/bin`` into the directories below it."""
    if prefix in {"/", "/usr"}:
        return []  # its parts are the system's directories
    if prefix == "/usr/local":
        return [str(path) for path in (Path("/usr/local/lib"), Path("/usr/local/lib64")) if path.is_dir()]
    return [prefix]


def native(path: Path) -> Path:
    """Returns the path as the host's own commands see it.

    A Linux Python on a FreeBSD kernel finds ``/usr/lib`` in ``/compat/linux/usr/lib``; mount(8) does not.
    """
    other = Path(f"{_LINUX_ON_FREEBSD}{path}")
    return other if other.exists() and path.exists() and other.samefile(path) else path


def lay_out(root: Path, found: Survey) -> None:
    """Makes everything in the root that is not a mount. May be repeated."""
    for name in _OWN:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    for path in found.mounts:
        (root / path[1:]).mkdir(parents=True, exist_ok=True)
    for path, target in found.links:
        link = root / path[1:]
        if not link.is_symlink():
            link.symlink_to(target)
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    (root / "etc/hosts").write_text(_HOSTS)
    cache = Path("/etc/ld.so.cache")
    if cache.is_file():
        shutil.copyfile(cache, root / "etc/ld.so.cache")
    programs = root / "usr/local/bin"
    python = programs / "python"
    python.unlink(missing_ok=True)
    if found.copied:
        shutil.copy2(found.interpreter, programs / Path(found.interpreter).name)
        python.symlink_to(Path(found.interpreter).name)
    else:
        python.symlink_to(found.interpreter)
    echo = programs / "http-echo"
    source = Path(__file__).with_name("http_echo.py").read_text()
    echo.write_text(f"#!/usr/local/bin/python -IS\n{source}")
    echo.chmod(0o755)


async def make(host: Mounter, root: Path, found: Survey | None = None) -> None:
    """Makes the root, anew if an earlier one was left mounted.

    Args:
        host: mounts.
        root: absolute, without symbolic links; made if missing.
        found: what ``survey`` returned; None: look now.
    """
    found = found or survey()
    await unmake(host, root, found)
    lay_out(root, found)
    for path in found.mounts:
        await host.mount("nullfs", str(native(Path(path))), root / path[1:], ("ro",))


async def unmake(host: Mounter, root: Path, found: Survey | None = None) -> None:
    """Unmounts everything; the few small files stay."""
    found = found or survey()
    for path in reversed(found.mounts):
        if (root / path[1:]).is_dir():
            await host.unmount(str(root / path[1:]))
