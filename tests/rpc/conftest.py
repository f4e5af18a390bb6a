"""Fixtures of the RPC tests: the fake plugin's command line and environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

FAKE = str(Path(__file__).with_name("fake_plugin.py"))


@pytest.fixture
def argv() -> list[str]:
    """The command line of the fake plugin."""
    return [sys.executable, FAKE]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Where the fake plugin writes what it did."""
    return tmp_path / "notes"


@pytest.fixture
def env(tmp_path: Path, notes: Path) -> Mapping[str, str]:
    """The agent's environment, with a temporary directory of the test's own."""
    return {**os.environ, "TMPDIR": str(tmp_path), "FAKE_NOTES": str(notes)}
