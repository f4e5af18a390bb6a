"""Looking a program up inside a root from outside: links never lead out."""

from __future__ import annotations

from pathlib import Path

import pytest

from jail_driver.engine.lookup import find_program, resolve_inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root, and beside it a program that must never be found."""
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    for path in (root / "usr/bin/prog", tmp_path / "outside"):
        path.write_text("")
        path.chmod(0o755)
    return root


def test_links_start_at_the_root_again(root: Path) -> None:
    """An absolute link means the jail's path, and .. stops at its root, as in chroot(2)."""
    (root / "abs").symlink_to("/usr/bin/prog")
    (root / "up").symlink_to("../../../../usr/bin/prog")
    for path in ("/abs", "/up", "/bin/prog", "../../bin/prog", "//usr/./bin/prog"):
        assert resolve_inside(root, path) == root / "usr/bin/prog"


def test_a_link_to_the_host_is_nothing(root: Path) -> None:
    """Neither absolute nor by dots."""
    (root / "leak").symlink_to(root.parent / "outside")
    (root / "dots").symlink_to("../outside")
    assert resolve_inside(root, "/leak") is None
    assert resolve_inside(root, "/dots") is None


def test_loops_end(root: Path) -> None:
    """As the kernel's ELOOP."""
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    assert resolve_inside(root, "/a") is None


def test_only_executable_files_are_programs(root: Path) -> None:
    """A directory or a plain file of that name is passed over in the search."""
    (root / "first/prog").mkdir(parents=True)
    (root / "second").mkdir()
    (root / "second/prog").write_text("")
    assert find_program(root, "prog", "/first:/second:/bin") == root / "usr/bin/prog"
    assert find_program(root, "prog", "/first:/second") is None
    assert find_program(root, "usr/bin/prog", "") == root / "usr/bin/prog"
