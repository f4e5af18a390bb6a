"""One host, two trees: what a Linux Python on FreeBSD finds is named so that FreeBSD's programs find it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jail_driver import trees
from jail_driver.agent import encode
from jail_driver.engine.opening import make_directories
from jail_driver.engine.paths import StateDir
from jail_driver.errors import UnavailableError
from jail_driver.rpc import convert
from plugin_client import sample_task


@pytest.fixture
def linux_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A tree through which the test's own directory is seen as well, as /compat/linux/tmp is by /tmp."""
    tree = Path(tempfile.mkdtemp(dir="/tmp"))
    (tree / tmp_path.parts[1]).symlink_to(f"/{tmp_path.parts[1]}")
    monkeypatch.setattr(trees, "LINUX_TREE", str(tree))
    yield str(tree)
    shutil.rmtree(tree)


def test_the_whole_name(tmp_path: Path, linux_tree: str) -> None:
    """What is in the Linux tree gets its whole name, once; the rest keeps the one it has."""
    whole = trees.known_to_all(str(tmp_path))
    assert whole == f"{linux_tree}{tmp_path}"
    assert trees.known_to_all(whole) == whole
    for other in ("/proc/self", f"{tmp_path}/missing", "", "relative"):
        assert trees.known_to_all(other) == other


def test_a_state_directory_in_the_linux_tree(tmp_path: Path, linux_tree: str) -> None:
    """The jails' roots lie in it: mount(8) and jail(8) must find them."""
    state = make_directories(StateDir(tmp_path / "state"))
    assert str(state.root) == f"{linux_tree}{tmp_path}/state"
    assert (tmp_path / "state/t").is_dir()
    assert state.tasks.samefile(tmp_path / "state/t")


def test_a_history_that_the_linux_tree_hides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody made a directory in the Linux tree: the driver must not begin anew there, and forget its tasks."""
    system = tmp_path / "system"
    state = StateDir(tmp_path / "state")
    monkeypatch.setattr(trees, "SYSTEM_ONLY", str(system))
    hidden = Path(trees.of_the_system(str(state.database)))
    hidden.parent.mkdir(parents=True)
    hidden.write_text("a history")
    with pytest.raises(UnavailableError, match="holds a history"):
        make_directories(state)
    assert not state.root.exists()
    state.root.mkdir()
    state.database.write_text("another one")
    with pytest.raises(UnavailableError, match="holds a history"):
        make_directories(state)
    state.database.unlink()
    state.database.hardlink_to(hidden)  # one and the same, as it is to a Python of FreeBSD's own
    assert make_directories(state).root == state.root


def test_an_allocation_in_the_linux_tree(tmp_path: Path, linux_tree: str) -> None:
    """An agent under the Linux ABI names it as it sees it: its directories are mounted into the jail."""
    sent = encode.task_config(replace(sample_task(), alloc_dir=str(tmp_path)))
    assert convert.task_spec(sent).alloc_dir == f"{linux_tree}{tmp_path}"
