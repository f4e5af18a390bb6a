"""A host with one running task, shared by the tests of a file; each test leaves it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import rig


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """A host of its own, gone afterwards."""
    with rig.host() as made:
        yield made
