"""A set of jail commands for one test, and the places that it may use."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

DRIVER = Path(__file__).resolve().parents[2] / "driver"
_TIMEOUT_S = 30
_RESCUE_SH = Path("/rescue/sh")
"""To a Linux Python on FreeBSD /bin/sh and what it finds are Linux's; this one looks up as FreeBSD does."""


class Said(NamedTuple):
    """What a command ended with."""

    status: int
    out: str
    err: str


class Toolbox:
    """Commands from one directory, run through sh as the transcripts were.

    Attributes:
        directory: Where the commands are; None means PATH as it is.
        work: An empty directory of the test's own.
        prefix: Words to run every command under, such as nsenter.
    """

    def __init__(self, directory: Path | None, work: Path, prefix: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.work = work
        self.prefix = prefix

    @property
    def env(self) -> dict[str, str]:
        """The environment of every command: nothing of the test runner's."""
        path = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
        return {
            "PATH": f"{self.directory}:{path}" if self.directory else path,
            "HOME": "/root",
            "LANG": "C.UTF-8",
        }

    def start(self, *words: str, **options: int) -> subprocess.Popen[str]:
        """Start one of the commands without waiting."""
        program = f"{self.directory}/{words[0]}" if self.directory else words[0]
        return subprocess.Popen(
            [*self.prefix, program, *words[1:]], env=self.env, text=True, cwd="/", **options
        )

    @property
    def shell(self) -> str:
        """The shell whose commands are the ones that are tested."""
        return str(_RESCUE_SH) if self.directory is None and _RESCUE_SH.exists() else "/bin/sh"

    def sh(self, script: str) -> Said:
        """Run a shell script to its end with the commands on its PATH."""
        done = subprocess.run(
            [*self.prefix, self.shell, "-c", script],
            env=self.env,
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return Said(done.returncode, *(os.fsdecode(part) for part in (done.stdout, done.stderr)))

    def ok(self, script: str) -> str:
        """Run a shell script that must succeed without a word on standard error; returns its output."""
        said = self.sh(script)
        assert (said.status, said.err) == (0, ""), f"{script}: {said}"
        return said.out

    def clean_up(self) -> None:
        """Remove the jails of the test and every mount below the work directory."""
        if self.directory is None:
            self.sh('jls name | grep ^jl | while read -r j; do pkill -9 -j "$j"; jail -R "$j"; done')
        elif any((self.directory / "registry" / "jails").glob("*")):
            self.sh("for j in $(jls -d jid); do pkill -9 -j $j; jail -R $j; done; jls -d")
        if self.directory:
            (self.directory / "settings.json").unlink(missing_ok=True)
        for target in self._mounted():
            if self.directory:
                subprocess.run(["/bin/umount", "-l", target], check=False)
            else:
                self.sh(f"umount -f '{target}'")
        left = self._mounted()
        assert not left, f"{left} cannot be unmounted: what lies behind them would be deleted"
        shutil.rmtree(self.work, ignore_errors=True)

    def _mounted(self) -> list[str]:
        """The mount points of the test, the newest first."""
        if self.directory is None:
            lines = self.ok("mount -p").splitlines()
            targets = [line.split()[1] for line in lines]
        else:
            lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
            targets = [line.split()[4] for line in lines]
        places = tuple(f"{place}/" for place in (self.work, self.directory) if place is not None)
        return [target for target in reversed(targets) if target.startswith(places)]


def install(directory: Path, *arguments: str) -> None:
    """Install the stand-ins as the driver does: by path, with an interpreter that sees no packages."""
    program = DRIVER / "jail_linux" / "install.py"
    subprocess.run([sys.executable, "-I", "-S", str(program), *arguments, str(directory)], check=True)
