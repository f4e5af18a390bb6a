"""fstab(5) lines of a job."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jail_driver.config.kinds import Problems
from jail_driver.config.model import FstabMount
from jail_driver.config.mounts import decode, read_fstab, read_mounts, target_inside


@pytest.mark.parametrize(
    ("line", "mount"),
    [
        ("/data /mnt nullfs ro 0 0", FstabMount("/data", "/mnt", "nullfs", ("ro",))),
        ("tmpfs\t/tmp\ttmpfs\trw,size=1m", FstabMount("tmpfs", "/tmp", "tmpfs", ("size=1m",))),
        (r"/a\040b /j/web/c\011d nullfs", FstabMount("/a b", "/c\td", "nullfs")),
        ("/data /j/web/mnt/ nullfs rw", FstabMount("/data", "/mnt", "nullfs")),
        ("/data /j/website nullfs", FstabMount("/data", "/j/website", "nullfs")),
    ],
)
def test_lines(line: str, mount: FstabMount) -> None:
    """Fields are decoded, rw is the default, and a target below Path is taken from there on."""
    problems = Problems()
    assert read_mounts("Mount", line, "/j/web", problems) == (mount,)
    assert problems.found == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("bad line", "lacks a field"),
        ("/a mnt nullfs", "no place inside"),
        ("/a / nullfs", "no place inside"),
        ("/a /b/../../etc nullfs", "no place inside"),
        (r"/a /b/\056\056/etc nullfs", "no place inside"),
        ("/a /b -onullfs", "no file system type"),
        ("-o /b nullfs", "taken for something else"),
        (r"/a /b nullfs ro\012x", "taken for something else"),
        ("/a /b nullfs -u", "taken for something else"),
        (r"/a\000b /b nullfs", "NUL"),
        ("/a /b nullfs\n/etc /etc nullfs", "several lines"),
        (3, "lacks a field"),
        (True, "not text"),
    ],
)
def test_refusals(line: Any, says: str) -> None:
    """No field can become an option, leave the jail's root, or add a second mount."""
    problems = Problems()
    assert read_mounts("Mount", line, None, problems) == ()
    assert says in problems.found[0]


def test_file() -> None:
    """A file may have comments and empty lines; its problems carry its name."""
    problems = Problems()
    text = "# comment\n\n/a /b nullfs ro\n  #x\nshort line\n"
    assert read_fstab("/etc/fstab.web", text, None, problems) == (FstabMount("/a", "/b", "nullfs", ("ro",)),)
    assert problems.found[0].startswith("/etc/fstab.web = ")


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_octal_escapes_are_undone(text: str) -> None:
    """What vis(3) encodes in octal comes back."""
    encoded = "".join(f"\\{ord(char):03o}" if char in " \t\n\\#" else char for char in text)
    assert decode(encoded) == text


@given(st.text(), st.one_of(st.none(), st.text()))
def test_targets_never_leave_the_root(target: str, path: str | None) -> None:
    """Whatever the text, a target is refused or is a clean absolute path."""
    inside = target_inside(target, path)
    if inside is not None:
        assert inside.startswith("/")
        assert inside != "/"
        assert not {"", ".", ".."} & set(inside[1:].split("/"))
