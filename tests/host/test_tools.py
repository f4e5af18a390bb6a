"""Which programs are used: FreeBSD's own, the stand-ins, or a directory's; never what PATH finds."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jail_driver.host import tools
from jail_driver.host.command import Completed
from jail_driver.host.errors import ToolsError
from jail_driver.host.tools import Tools, discover, in_directory
from jail_driver.supervisor import ending

FREEBSD = b"\x7fELF\x02\x01\x01\x09"
LINUX = b"\x7fELF\x02\x01\x01\x00"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory tree with FreeBSD's programs in FreeBSD's places."""
    homes = {name: str(tmp_path / home.lstrip("/")) for name, home in tools._HOMES.items()}
    for name, home in homes.items():
        program(Path(home, name), FREEBSD)
    program(tmp_path / "bin/sh", FREEBSD)
    monkeypatch.setattr(tools, "_HOMES", homes)
    monkeypatch.setattr(tools, "_SHELL_HOME", str(tmp_path / "bin"))
    monkeypatch.setattr(tools, "_RESCUE", tmp_path / "rescue")
    return tmp_path


def program(path: Path, content: bytes) -> None:
    """Writes an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)


def found(choice: str, state_dir: Path) -> Tools:
    """Looks for the tools, without running anything."""
    return asyncio.run(discover(choice, state_dir, Unused()))


class Unused:
    """Runs nothing."""

    async def run(self, argv: Sequence[str], **_options: Any) -> Completed:
        """Fails."""
        raise AssertionError(f"ran {argv}")


def test_each_tool_has_its_place() -> None:
    """The table of places and the fields are one list."""
    listed = set(tools._HOMES) | set(tools.EXTRAS) | {"path_directory", "sh", "devd_pipe"}
    assert listed == {field.name for field in dataclasses.fields(Tools)}


class TestNative:
    """FreeBSD's own programs."""

    @pytest.mark.parametrize("choice", ["auto", "freebsd"])
    def test_found_by_absolute_path(self, system: Path, choice: str) -> None:
        """Hooks need no directory of ours in their PATH."""
        chosen = found(choice, system / "state")
        assert (chosen.jail, chosen.mount) == (f"{system}/usr/sbin/jail", f"{system}/sbin/mount")
        assert chosen.native

    def test_a_linux_program_in_its_place_is_passed_over(self, system: Path) -> None:
        """Under the Linux ABI /bin/ps may be Debian's: then the copy in /rescue serves."""
        program(system / "bin/ps", LINUX)
        program(system / "rescue/ps", FREEBSD)
        assert found("freebsd", system).ps == f"{system}/rescue/ps"

    def test_hooks_get_freebsds_own_shell(self, system: Path) -> None:
        """Debian's would look for every program of a hook in /compat/linux first."""
        assert found("freebsd", system).sh == f"{system}/bin/sh"
        program(system / "bin/sh", LINUX)
        program(system / "rescue/sh", FREEBSD)
        assert found("freebsd", system).sh == f"{system}/rescue/sh"

    @pytest.mark.parametrize("content", [LINUX, b"#!/bin/sh\n", b""])
    def test_nothing_else_is_driven(self, system: Path, content: bytes) -> None:
        """Without a program of FreeBSD's own the file is named, and nothing is run."""
        program(system / "sbin/mount", content)
        with pytest.raises(ToolsError, match=f"{system}/sbin/mount is not FreeBSD's own program"):
            found("freebsd", system)

    def test_missing_program(self, system: Path) -> None:
        """A missing program is named."""
        (system / "usr/bin/rctl").unlink()
        with pytest.raises(ToolsError, match="/usr/bin/rctl does not exist"):
            found("auto", system)


class TestDevd:
    """Where devd's socket is."""

    @pytest.mark.parametrize(("translated", "root"), [(True, "/rescue/.."), (False, "")])
    def test_native(
        self, system: Path, monkeypatch: pytest.MonkeyPatch, *, translated: bool, root: str
    ) -> None:
        """A Linux tree's own /var/run is a link into it: devd is reached past it."""
        monkeypatch.setattr(ending, "TRANSLATED", translated)
        assert found("freebsd", system).devd_pipe == f"{root}/var/run/devd.seqpacket.pipe"


class TestSameTree:
    """Under the Linux ABI our paths may lead into /compat/linux, FreeBSD's programs' never do."""

    def test_the_state_directory_is_one_directory(self, system: Path) -> None:
        """FreeBSD's ls sees our inode."""
        program(system / "rescue/ls", FREEBSD)
        asyncio.run(discover("freebsd", system, Ls(f"{system.stat().st_ino} {system}\n")))

    @pytest.mark.parametrize("answer", ["1 /somewhere\n", ""])
    def test_two_directories_of_one_name(self, system: Path, answer: str) -> None:
        """Another inode, or none, is a reason to refuse, before a mount lands there."""
        program(system / "rescue/ls", FREEBSD)
        with pytest.raises(ToolsError, match=f"{system} is not the same directory to FreeBSD's programs"):
            asyncio.run(discover("freebsd", system, Ls(answer)))


class Ls:
    """Answers as ``ls -di`` does."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    async def run(self, argv: Sequence[str], **_options: Any) -> Completed:
        """Answers; nothing found is status 1."""
        assert list(argv[1:-1]) == ["-di"]
        return Completed(tuple(argv), 0 if self.answer else 1, None, self.answer.encode(), b"")


class TestDirectory:
    """A directory that holds them all."""

    def test_taken_as_it_is(self, tmp_path: Path) -> None:
        """Tests generate one each; hooks find it first in their PATH."""
        for name in tools._HOMES:
            program(tmp_path / name, b"#!/bin/sh\n")
        chosen = found(str(tmp_path), tmp_path)
        assert (chosen.jls, chosen.path_directory, chosen.native) == (f"{tmp_path}/jls", tmp_path, False)

    def test_incomplete(self, tmp_path: Path) -> None:
        """The first program that is missing is named."""
        with pytest.raises(ToolsError, match=f"{tmp_path}/jail is missing or not executable"):
            in_directory(tmp_path)

    def test_a_word_that_is_no_choice(self, tmp_path: Path) -> None:
        """A relative path depends on where the agent was started: refused."""
        with pytest.raises(ToolsError, match="'bsd' is not auto, freebsd, linux or an absolute directory"):
            found("bsd", tmp_path)


class TestStandIns:
    """The embedded default elsewhere."""

    def test_auto_where_there_is_no_freebsd(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are installed below the state directory, by a program of their own."""
        monkeypatch.setattr(tools, "_HOMES", dict.fromkeys(tools._HOMES, f"{tmp_path}/nowhere"))
        ran: list[Sequence[str]] = []

        class Installer:
            async def run(self, argv: Sequence[str], **_options: Any) -> Completed:
                ran.append(argv)
                for name in tools._HOMES:
                    program(Path(argv[-1], name), b"#!/bin/sh\n")
                return Completed(tuple(argv), 0, None, b"", b"")

        chosen = asyncio.run(discover("auto", tmp_path, Installer()))
        assert chosen.jail == f"{tmp_path}/tools/jail"
        assert ran[0][1:3] == ["-I", "-S"]
        assert Path(ran[0][3]).parts[-2:] == ("jail_linux", "install.py")

    def test_a_failing_installer_is_a_reason(self, tmp_path: Path) -> None:
        """The fingerprint can say why."""

        class Failing:
            async def run(self, argv: Sequence[str], **_options: Any) -> Completed:
                return Completed(tuple(argv), 1, None, b"", b"disk full\n")

        with pytest.raises(ToolsError, match="install the stand-ins: disk full"):
            asyncio.run(discover("linux", tmp_path, Failing()))
