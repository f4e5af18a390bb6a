"""Commands are split as usr.sbin/jail/command.c of FreeBSD splits them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jail_driver.config.commands import SHELL_CHARACTERS, exact, split, split_main


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("/bin/sleep 5", ("/bin/sleep", "5")),
        ("  sh\t/etc/rc \r\n\v\f ", ("sh", "/etc/rc")),
        ("line1\necho line2", ("line1", "echo", "line2")),
        ("logger trying to start ", ("logger", "trying", "to", "start")),
        ("date +%s ^ # @ , : = -x", ("date", "+%s", "^", "#", "@", ",", ":", "=", "-x")),
        ("a\u00a0b\u2003c", ("a\u00a0b\u2003c",)),
        ("exit 4", ("exit", "4")),
    ],
)
def test_plain_text_is_split_at_blanks(text: str, argv: tuple[str, ...]) -> None:
    """Without a shell character the words are executed directly; only C's blanks separate them."""
    command = split(text)
    assert command is not None
    assert command.argv == argv


@pytest.mark.parametrize("char", sorted(SHELL_CHARACTERS))
def test_every_shell_character_asks_for_the_shell(char: str) -> None:
    """One shell character anywhere sends the whole text to /bin/sh."""
    command = split(f"echo a{char}b c")
    assert command is not None
    assert command.argv == ("/bin/sh", "-c", f"echo a{char}b c")
    assert not command.background


def test_lone_final_ampersand_is_background() -> None:
    """A "&" at the very end, with no other shell character, starts the command without waiting."""
    command = split("/usr/sbin/daemon x &")
    assert command is not None
    assert command.background
    other = split("echo $X &")
    assert other is not None
    assert not other.background


@pytest.mark.parametrize("text", ["", " ", "\t\n", "&", " & "[:-1]])
def test_nothing_to_run(text: str) -> None:
    """Text without a word is no command, as in jail(8)."""
    assert split(text) is None


def test_main_is_never_in_the_background() -> None:
    """Main's final "&" is dropped, its text kept."""
    command = split_main("/bin/server -x &")
    assert command is not None
    assert (command.argv, command.background, command.text) == (
        ("/bin/server", "-x"),
        False,
        "/bin/server -x &",
    )
    assert split_main("& ".strip()) is None


@given(st.text().filter(lambda text: "\0" not in text))
def test_splitting_again_gives_the_same(text: str) -> None:
    """A command can be made again from its text: teardown after a restart runs the same hook."""
    command = split(text)
    assert command is None or split(command.text) == command


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
def test_exact_arguments_arrive_unchanged(argv: list[str]) -> None:
    """A list of arguments is never split or read by a shell."""
    assert exact(tuple(argv)).argv == tuple(argv)
