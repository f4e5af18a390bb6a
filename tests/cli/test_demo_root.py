"""The demo root shows a host's programs and nothing else of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jail_driver.cli import demo_root


class Recorder:
    """Records what would be mounted."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []

    async def mount(self, fstype: str, source: str, target: Path, options: tuple[str, ...] = ()) -> None:
        """Notes a mount."""
        assert target.is_dir()
        self.done.append(("mount", fstype, source, str(target), *options))

    async def unmount(self, mount: str) -> None:
        """Notes an unmount."""
        self.done.append(("unmount", mount))


def found(*mounts: str, interpreter: str = "/usr/bin/python3.11", copied: bool = False) -> demo_root.Survey:
    """A survey of a made-up host."""
    return demo_root.Survey(mounts, (("/bin", "usr/bin"),), interpreter, copied)


class TestMake:
    """What is made and in which order."""

    def test_every_mount_is_read_only_and_undone_in_reverse(self, tmp_path: Path) -> None:
        """The host's directories cannot be changed through the root."""
        host = Recorder()
        asyncio.run(demo_root.make(host, tmp_path, found("/usr/bin", "/usr/lib")))
        assert host.done == [
            ("mount", "nullfs", "/usr/bin", f"{tmp_path}/usr/bin", "ro"),
            ("mount", "nullfs", "/usr/lib", f"{tmp_path}/usr/lib", "ro"),
        ]
        host.done.clear()
        asyncio.run(demo_root.unmake(host, tmp_path, found("/usr/bin", "/usr/lib")))
        assert host.done == [("unmount", f"{tmp_path}/usr/lib"), ("unmount", f"{tmp_path}/usr/bin")]

    def test_again_after_a_crash(self, tmp_path: Path) -> None:
        """What an earlier run left mounted goes first."""
        host = Recorder()
        asyncio.run(demo_root.make(host, tmp_path, found("/usr/bin")))
        host.done.clear()
        asyncio.run(demo_root.make(host, tmp_path, found("/usr/bin")))
        assert [one[0] for one in host.done] == ["unmount", "mount"]

    def test_files_of_its_own(self, tmp_path: Path) -> None:
        """Links as the host has them, an /etc of its own, http-echo where the document says."""
        asyncio.run(demo_root.make(Recorder(), tmp_path, found()))
        assert str((tmp_path / "bin").readlink()) == "usr/bin"
        assert (tmp_path / "etc/passwd").read_text().startswith("root:")
        echo = tmp_path / "usr/local/bin/http-echo"
        assert echo.read_text().startswith("#!/usr/local/bin/python -IS\n")
        assert echo.stat().st_mode & 0o111
        assert str((tmp_path / "usr/local/bin/python").readlink()) == "/usr/bin/python3.11"
        assert (tmp_path / "tmp").stat().st_mode & 0o1777 == 0o1777

    def test_an_interpreter_in_our_own_directory(self, tmp_path: Path) -> None:
        """A Python of /usr/local/bin is copied, because that directory is the root's own."""
        python = tmp_path / "python3.99"
        python.write_text("the program")
        root = tmp_path / "root"
        asyncio.run(demo_root.make(Recorder(), root, found(interpreter=str(python), copied=True)))
        assert (root / "usr/local/bin/python3.99").read_text() == "the program"
        assert str((root / "usr/local/bin/python").readlink()) == "python3.99"


class TestSurvey:
    """What this host is made of."""

    def test_the_interpreter_is_inside(self) -> None:
        """Its prefix is mounted, or lies in something that is; home and configuration directories are not."""
        here = demo_root.survey()
        assert here.copied or any(here.interpreter.startswith(f"{mount}/") for mount in here.mounts)
        assert not {"/", "/usr", "/usr/local", "/etc", "/home", "/root", "/var"} & set(here.mounts)

    @pytest.mark.parametrize("prefix", ["/usr", "/usr/local", "/opt/python"])
    def test_prefixes(self, prefix: str) -> None:
        """No prefix hides /usr/local/bin."""
        parts = demo_root._parts_of(prefix)
        assert prefix not in {"/usr", "/usr/local"} or prefix not in parts
        assert prefix != "/opt/python" or parts == [prefix]

    def test_native_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where Linux's tree is shown first, the host's own commands are given the real place."""
        monkeypatch.setattr(demo_root, "_LINUX_ON_FREEBSD", str(tmp_path))
        (tmp_path / "usr").mkdir()
        assert demo_root.native(Path("/usr")) == Path("/usr")
        (tmp_path / "usr").rmdir()
        (tmp_path / "usr").symlink_to("/usr")
        assert demo_root.native(Path("/usr")) == tmp_path / "usr"
