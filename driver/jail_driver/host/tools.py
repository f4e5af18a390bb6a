"""Finds the jail tools: by absolute path, never PATH, and only FreeBSD's own where the host is FreeBSD.

Under FreeBSD's Linux ABI a path such as ``/bin/ps`` may resolve into ``/compat/linux``, whose program knows
nothing of jails. FreeBSD marks its executables in the ELF header (elf(5): EI_OSABI, byte 7, ELFOSABI_FREEBSD
= 9), Linux distributions do not; the name of the platform is never asked.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jail_driver import trees
from jail_driver.host.command import Runner
from jail_driver.host.errors import HostError, ToolsError
from jail_driver.supervisor import ending

_RESCUE = Path("/rescue")
_SHELL_HOME = "/bin"
_HOMES = {
    "jail": "/usr/sbin",
    "jls": "/usr/sbin",
    "jexec": "/usr/sbin",
    "rctl": "/usr/bin",
    "ifconfig": "/sbin",
    "mount": "/sbin",
    "umount": "/sbin",
    "pkill": "/bin",
    "cpuset": "/usr/bin",
    "devfs": "/sbin",
    "ps": "/bin",
    "sysctl": "/sbin",
    "kenv": "/bin",
    "route": "/sbin",
}
"""Where hier(7) puts them; /rescue (rescue(8)) has statically linked copies of some."""
EXTRAS = {"setfib": "/usr/sbin", "zfs": "/sbin", "pwait": "/bin"}
"""Programs that only some hosts have: a job that needs one is refused by name where it is missing."""
_DEVD_PIPE = "devd.seqpacket.pipe"
_DEVD_HOME = "/var/run"
"""In a Linux tree this is mostly a link to /run, which only FreeBSD's Linux tree has: devd is not there."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs by absolute path.

    Args:
        path_directory: to be put first in the PATH of hooks; None where the tools are FreeBSD's own.
        setfib: empty where this host has none; so are zfs and pwait.
        devd_pipe: the socket on which devd(8) repeats the kernel's events.
        sh: the host's shell for hooks. To a Linux Python on FreeBSD /bin/sh is /compat/linux's, whose
            children see that tree first; then it is /rescue/sh.
    """

    path_directory: Path | None
    jail: str
    jls: str
    jexec: str
    rctl: str
    ifconfig: str
    mount: str
    umount: str
    pkill: str
    cpuset: str
    devfs: str
    ps: str
    sysctl: str
    kenv: str
    route: str
    sh: str = "/bin/sh"
    setfib: str = ""
    zfs: str = ""
    pwait: str = ""
    devd_pipe: str = f"{_DEVD_HOME}/{_DEVD_PIPE}"

    @property
    def native(self) -> bool:
        """Whether they are FreeBSD's own."""
        return self.path_directory is None


async def discover(choice: str, state_dir: Path, runner: Runner) -> Tools:
    """Returns the tools that the plugin option ``jail_tools`` asks for.

    Args:
        choice: ``freebsd``; ``linux`` (the stand-ins, installed below the state directory); ``auto``
            (FreeBSD's where /usr/sbin/jail is FreeBSD's own, else the stand-ins); or a directory.
        state_dir: must exist if stand-ins are to be installed.
        runner: runs the installer of the stand-ins.

    Raises:
        ToolsError: naming the file that is missing or not what it should be.
    """
    if choice == "auto":
        choice = "freebsd" if _is_freebsd(Path(_HOMES["jail"], "jail")) else "linux"
    if choice == "freebsd":
        home = trees.of_the_system(_DEVD_HOME) if ending.TRANSLATED else _DEVD_HOME
        sh = str(_native_program("sh", Path(_SHELL_HOME)))
        tools = Tools(path_directory=None, **_native(), sh=sh, devd_pipe=f"{home}/{_DEVD_PIPE}")
        await _check_same_tree(state_dir, runner)
        return tools
    if choice == "linux":
        return await _stand_ins(state_dir / "tools", runner)
    return in_directory(Path(choice))


def in_directory(directory: Path) -> Tools:
    """Returns the tools of one directory.

    Raises:
        ToolsError: one of them is not an executable file there, or the path is not absolute.
    """
    if not directory.is_absolute():
        raise ToolsError(
            "jail_tools", f"{str(directory)!r} is not auto, freebsd, linux or an absolute directory"
        )
    programs = {name: directory / name for name in _HOMES}
    for program in programs.values():
        if not (program.is_file() and os.access(program, os.X_OK)):
            raise ToolsError("jail_tools", f"{program} is missing or not executable")
    extras = {name: directory / name for name in EXTRAS if os.access(directory / name, os.X_OK)}
    found = {name: str(path) for name, path in (programs | extras).items()}
    return Tools(path_directory=directory, devd_pipe=str(directory / _DEVD_PIPE), **found)


def _native() -> Mapping[str, str]:
    extras = {name: f"{home}/{name}" for name, home in EXTRAS.items() if _is_freebsd(Path(home, name))}
    return {name: str(_native_program(name, Path(home))) for name, home in _HOMES.items()} | extras


def _native_program(name: str, home: Path) -> Path:
    candidates = (home / name, _RESCUE / name)
    for program in candidates:
        if _is_freebsd(program):
            return program
    first, rescue = candidates
    if not first.exists():
        raise ToolsError("jail_tools", f"{first} does not exist, nor does {rescue}")
    raise ToolsError(
        "jail_tools",
        f"{first} is not FreeBSD's own program, and {rescue} is not there: is it Linux's, from /compat/linux?",
    )


def _is_freebsd(program: Path) -> bool:
    try:
        with program.open("rb") as file:
            header = file.read(8)
    except OSError:
        return False
    return header[:4] == b"\x7fELF" and header[7:] == b"\x09" and os.access(program, os.X_OK)


async def _check_same_tree(directory: Path, runner: Runner) -> None:
    """Makes sure that FreeBSD's programs find our directory under the same path.

    To a Linux Python, paths that exist in /compat/linux lead there (linux(4)); mounts and jails would then
    be made in another directory, or fail with a riddle.
    """
    ls = _RESCUE / "ls"
    if not directory.exists() or not _is_freebsd(ls):
        return
    done = await runner.run([str(ls), "-di", str(directory)], timeout_s=10)
    if not done.ok or done.stdout.split()[:1] != [str(directory.stat().st_ino).encode()]:
        raise ToolsError(
            "state_dir",
            f"{directory} is not the same directory to FreeBSD's programs, because the Linux ABI looks into"
            " /compat/linux first: choose a path that has no counterpart there",
        )


async def _stand_ins(directory: Path, runner: Runner) -> Tools:
    package = importlib.util.find_spec("jail_linux")
    if package is None or not package.submodule_search_locations:
        raise ToolsError("jail_tools", "the stand-ins for Linux (package jail_linux) are not installed")
    installer = Path(next(iter(package.submodule_search_locations)), "install.py")
    argv = [sys.executable, "-I", "-S", str(installer), str(directory)]
    try:
        (await runner.run(argv, timeout_s=60)).check("install the stand-ins")
    except HostError as error:
        raise ToolsError("jail_tools", str(error)) from error
    return in_directory(directory)
