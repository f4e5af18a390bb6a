"""The hosts of the contract suite, as fixtures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.worlds import WORLDS, Enter, World


@pytest.fixture(params=WORLDS)
def enter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Enter]:
    """Opens a host, with settings where a test needs them."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(WORLDS[request.param](tmp_path.resolve(), **settings))


@pytest.fixture
def world(enter: Enter) -> World:
    """A host with ordinary settings."""
    return enter()
