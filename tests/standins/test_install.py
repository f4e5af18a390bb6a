"""Installing the stand-ins, the settings, and the stops for tests."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jail_linux.install import COMMANDS, script
from jail_linux.jsontext import dumps, loads, quoted
from standins.conftest import need_root
from standins.toolbox import DRIVER, Toolbox, install


def test_it_is_repeatable(work: Path) -> None:
    """A second run leaves every file as it was; every command is executable."""
    install(work / "t", "--registry", str(work / "r"), "--dying-s", "0.5")
    before = {path: path.stat().st_mtime_ns for path in (work / "t").iterdir()}
    install(work / "t", "--registry", str(work / "r"), "--dying-s", "0.5")
    assert {path: path.stat().st_mtime_ns for path in (work / "t").iterdir()} == before
    assert {path.name for path in before} == {*COMMANDS, "settings.json"}
    assert all(os.access(path, os.X_OK) for path in before if path.name != "settings.json")
    assert loads((work / "t/settings.json").read_text(encoding="utf-8")) == {
        "registry": str(work / "r"), "dying_s": 0.5}  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [[], ["a", "b"], ["--nonsense"], ["--dying-s", "x", "a"], ["--dying-s"]]
)
def test_bad_arguments(arguments: list[str], work: Path) -> None:
    """Anything but one directory and known options is refused with a usage line, status 2."""
    program = [sys.executable, "-I", "-S", str(DRIVER / "jail_linux/install.py")]
    done = subprocess.run([*program, *arguments], cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: install.py")
    assert list(work.iterdir()) == []


def test_an_interpreter_with_an_odd_path(work: Path) -> None:
    """A path with a blank and a quote, too much for a #! line, still starts the right interpreter."""
    odd = work / ("it's " + "long" * 40)
    odd.mkdir()
    (odd / "python").symlink_to(os.path.realpath(sys.executable))
    program = work / "jls"
    program.write_text(script(str(odd / "python"), str(DRIVER), "jls", str(work)), encoding="utf-8")
    program.chmod(0o755)
    install(work / "t")
    (work / "settings.json").write_text(
        (work / "t/settings.json").read_text(encoding="utf-8"), encoding="utf-8"
    )
    need_root()
    done = subprocess.run([program, "--libxo", "json"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith('{"__version": "2"')


def test_a_missing_settings_file_is_named(standins: Toolbox) -> None:
    """A damaged tools directory says which file is wrong."""
    path = Path(f"{standins.directory}/settings.json")
    text = path.read_text(encoding="utf-8")
    path.write_text("{", encoding="utf-8")
    assert standins.sh("jls").err.startswith(f"jail_linux: {path}: ")
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "value", [None, True, 1, -2.5, 'é\n"\\\x01', [], {}, {"a": [1, "x", None], "b": {"c": False}}]
)
def test_json_round_trip(value: object) -> None:
    """The small JSON writer and the C scanner agree."""
    assert loads(dumps(value)) == value


def test_json_text_keeps_odd_bytes() -> None:
    """Libxo's strings keep non-ASCII text and escape control characters."""
    assert quoted('é"\\\n\x02') == '"é\\"\\\\\\n\\u0002"'


class TestBarriers:
    """Stops before and after a command's effect."""

    @staticmethod
    def _set(standins: Toolbox, *barriers: dict[str, object]) -> None:
        path = Path(f"{standins.directory}/settings.json")
        settings = loads(path.read_text(encoding="utf-8"))
        path.write_text(dumps({**settings, "barriers": list(barriers)}), encoding="utf-8")

    @staticmethod
    def _wait_for(path: Path) -> int:
        deadline = time.monotonic() + 10
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return int(path.read_text(encoding="ascii"))

    @pytest.mark.parametrize(("when", "seen"), [("before", ""), ("after", "a\n")])
    def test_it_waits_there(self, standins: Toolbox, when: str, seen: str) -> None:
        """The command announces itself with its pid and goes on when the file is gone; others see its effect, or not."""
        here = standins.work / "here"
        self._set(standins, {"command": "jail", "match": "-c name=a", "when": when, "announce": str(here)})
        child = standins.start("jail", "-c", "name=a", "path=/", "persist")
        assert self._wait_for(here) == child.pid
        assert standins.ok("jls name") == seen
        here.unlink()
        assert child.wait() == 0
        assert standins.ok("jls name") == "a\n"

    def test_only_the_nth_time_and_with_a_failure(self, standins: Toolbox) -> None:
        """An occurrence counts matches; `fail` ends the command with a status and words."""
        self._set(
            standins, {"command": "jls", "when": "before", "occurrence": 2, "fail": 9, "words": "jls: broken"}
        )
        assert standins.sh("jls -d; jls; jls -d") == (
            0, standins.ok("jls") * 2, "jls: broken\n")  # fmt: skip
