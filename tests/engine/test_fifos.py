"""Log FIFOs of tasks that do not run as root."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from jail_driver.engine import fifos


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_the_collector_does_not_take_a_gift_for_the_end_of_the_log(tmp_path: Path) -> None:
    """Nomad's collector already waits for the first writer: its log must not end before it began."""
    fifo = tmp_path / "log"
    os.mkfifo(fifo, 0o600)
    collected: list[bytes] = []
    collector = threading.Thread(target=lambda: collected.append(fifo.read_bytes()), daemon=True)
    collector.start()
    collector.join(0.1)
    assert fifos.give(str(fifo), str(tmp_path), 65534)
    assert fifo.stat().st_uid == 65534
    collector.join(0.1)
    assert collector.is_alive()
    fifo.write_bytes(b"a line\n")
    collector.join(5)
    assert collected == [b"a line\n"]


def test_nothing_but_a_fifo_is_given_away(tmp_path: Path) -> None:
    """A task may have put something else into the directory that it shares."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "real")
    (tmp_path / "to-fifo").symlink_to("real")
    for name in ("file", "link", "to-fifo", "missing"):
        assert not fifos.give(str(tmp_path / name), str(tmp_path), 65534)
    assert not fifos.give("/dev/null", str(tmp_path), 65534)
