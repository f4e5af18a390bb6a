"""Without root: what is said where no user namespace can be had."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jail_driver.cli import userns
from jail_driver.errors import UnavailableError


def refuse(_uid: int, _gid: int) -> None:
    """The kernel says no."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


class TestRefusal:
    """One sentence names what forbids it, and the command that allows it."""

    @pytest.fixture(autouse=True)
    def not_root(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody here is root, and nothing is entered."""
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        monkeypatch.setattr(userns, "_enter", refuse)

    def test_a_knob_that_forbids_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The knob and its remedy are named; one that has another value is not."""
        open_one, closed_one = tmp_path / "open", tmp_path / "closed"
        open_one.write_text("10000\n")
        closed_one.write_text("0\n")
        knobs = ((str(open_one), "0", "sysctl a=1"), (str(closed_one), "0", "sysctl b=1"))
        monkeypatch.setattr(userns, "_KNOBS", (("/no/such/knob", "0", "nothing"), *knobs))
        with pytest.raises(UnavailableError) as caught:
            userns.become_root()
        assert "`sysctl b=1` as root allows it" in str(caught.value)
        assert "sysctl a=1" not in str(caught.value)

    def test_a_container_that_forbids_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a knob to blame, the kernel's own words and the way out."""
        monkeypatch.setattr(userns, "_KNOBS", ())
        with pytest.raises(
            UnavailableError, match=r"Operation not permitted; in a container.*run it as root"
        ):
            userns.become_root()


def test_root_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root needs no namespace: mounts and addresses are the host's own."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(userns, "_enter", refuse)
    assert userns.become_root() is False
