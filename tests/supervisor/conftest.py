"""Fixtures: everything that a test starts is ended and removed afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A fresh lab, cleaned afterwards."""
    made = Lab(Path(tempfile.mkdtemp(prefix="jtd-", dir="/tmp")))
    try:
        yield made
    finally:
        made.clean()
