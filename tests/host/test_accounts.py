"""Users of the host: by the C library, and from FreeBSD's files where that is a Linux one."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from jail_driver.host import accounts
from jail_driver.host.accounts import HostAccount
from jail_driver.supervisor import ending

USERS = """\
# $FreeBSD$
root:*:0:0:Charlie &:/root:/bin/sh
www:*:80:80:World Wide Web Owner:/nonexistent:/usr/sbin/nologin
broken:*:x:80::/:/bin/sh
short:*:1
"""
GROUP = "wheel:*:0:root\nwww:*:80:\ndialer:*:68:www,uucp\nbackup:*:81:wwwx\nmail:*:6:www\nmail2:*:6:www\n"


def test_the_c_library_is_asked() -> None:
    """On Linux, and by FreeBSD's own Python: the account we run as is found."""
    own = pwd.getpwuid(os.geteuid())
    found = accounts.find(own.pw_name)
    assert found is not None
    assert (found.uid, found.home) == (own.pw_uid, own.pw_dir)
    assert found.gid in accounts.groups(found)
    assert accounts.find("nosuchuser") is None


def test_a_linux_program_on_freebsd_reads_freebsds_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The C library would read the Linux tree's, which has other users."""
    (tmp_path / "passwd").write_text(USERS)
    (tmp_path / "group").write_text(GROUP)
    monkeypatch.setattr(ending, "TRANSLATED", True)
    monkeypatch.setattr(accounts, "ETC", tmp_path)
    www = HostAccount("www", 80, 80, "/nonexistent", "/usr/sbin/nologin")
    assert accounts.find("www") == www
    assert accounts.groups(www) == [80, 68, 6]
    assert [accounts.find(name) for name in ("broken", "short", "www-data", "#")] == [None] * 4


def test_without_files_nobody_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made up."""
    monkeypatch.setattr(ending, "TRANSLATED", True)
    monkeypatch.setattr(accounts, "ETC", tmp_path / "missing")
    assert accounts.find("root") is None
