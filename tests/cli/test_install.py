"""``install`` puts an executable where Nomad's agent finds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jail_driver.cli import install
from jail_driver.errors import DriverError


def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "jail_driver", *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], **env},
    )


class TestInstall:
    """The file, whole, under Nomad's name."""

    def test_the_command(self, tmp_path: Path) -> None:
        """It makes the directory, says what the agent's configuration needs, and may be repeated."""
        plugins = tmp_path / "with blanks and 'quotes'"
        first, done = (run("install", "--plugin-dir", str(plugins)) for _ in range(2))
        assert (first.returncode, done.returncode) == (0, 0), first.stderr + done.stderr
        assert 'plugin "jail-task-driver"' in done.stdout
        assert [path.name for path in plugins.iterdir()] == ["jail-task-driver"]

    def test_what_it_installs_runs(self, tmp_path: Path) -> None:
        """The executable is this very driver, whatever the caller's directory and PYTHONPATH are."""
        program = install.install(tmp_path)
        (tmp_path / "jail_driver.py").write_text("raise SystemExit('the wrong module')")
        done = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={"PATH": "/nowhere", "PYTHONPATH": str(tmp_path)},
        )
        assert done.stdout.startswith("jail-task-driver ")

    def test_somebody_elses_file(self, tmp_path: Path) -> None:
        """Another program of that name, such as the Go driver, is not overwritten."""
        (tmp_path / "jail-task-driver").write_bytes(b"\x7fELF\xff")
        with pytest.raises(DriverError, match="is something else"):
            install.install(tmp_path)
        assert (tmp_path / "jail-task-driver").read_bytes() == b"\x7fELF\xff"

    def test_a_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        """The reason is the system's, in one sentence."""
        (tmp_path / "file").write_text("")
        done = run("install", "--plugin-dir", str(tmp_path / "file/below"))
        assert done.returncode == 1
        assert (
            done.stderr == f"jail-task-driver: cannot install into {tmp_path}/file/below: Not a directory\n"
        )


class TestByHand:
    """A person who starts the plugin is told what it is."""

    @pytest.mark.parametrize("argv", [[], ["serve"]])
    def test_without_a_cookie(self, argv: list[str]) -> None:
        """It explains itself and ends with 1; stdout, which Nomad reads, stays empty."""
        done = run(*argv)
        assert done.returncode == 1
        assert done.stdout == ""
        assert "Nomad" in done.stderr
        assert "jail-task-driver run" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_wrong_command(self) -> None:
        """A wrong command line ends with 2, as is the custom."""
        assert run("dance").returncode == 2


class TestStateDump:
    """``state-dump`` where there is nothing to show."""

    def test_nothing_was_ever_stored(self, tmp_path: Path) -> None:
        """It says so, and makes nothing."""
        done = run("state-dump", "--state-dir", str(tmp_path / "none"))
        assert done.returncode == 1
        assert "no task was ever started" in done.stderr
        assert list(tmp_path.iterdir()) == []

    def test_the_default_directory(self, tmp_path: Path) -> None:
        """Without root it is XDG_STATE_HOME's, with root the system's: where the plugin keeps it."""
        done = run("state-dump", XDG_STATE_HOME=str(tmp_path))
        default = "/var/db" if os.geteuid() == 0 else str(tmp_path)
        assert done.returncode == 0 or f"{default}/jail-task-driver" in done.stderr
