"""Commands of hooks and of Exec_start, split the way jail(8) splits them.

The rules are those of usr.sbin/jail/command.c: text with a shell character goes to ``/bin/sh -c``, other
text is split at blanks and executed directly (so that a root without a shell works), and a lone ``&`` at
the very end puts the command into the background.
"""

from __future__ import annotations

import shlex

from jail_driver.config.model import Command

SHELL_CHARACTERS = frozenset("!\"$&'()*;<>?[\\]`{|}~")
SHELL = "/bin/sh"
_BLANKS = str.maketrans(dict.fromkeys("\t\f\v\r\n", " "))
MAX_BYTES = 64 * 1024
"""Longest command text accepted: Linux takes no argument of 128 KiB or more, FreeBSD 512 KiB in all."""


def split(text: str) -> Command | None:
    """Splits one command; returns None for text without any word, which jail(8) skips as well.

    A background command keeps its ``&`` and goes through the shell, which returns at once.

    >>> split("/usr/local/bin/http-echo -listen :9999").argv
    ('/usr/local/bin/http-echo', '-listen', ':9999')
    >>> split("echo $JID >> /tmp/x").argv
    ('/bin/sh', '-c', 'echo $JID >> /tmp/x')
    """
    words = _words(text)
    if not words or words == ("&",):
        return None
    first = next((index for index, char in enumerate(text) if char in SHELL_CHARACTERS), None)
    if first is None:
        return Command(text, words)
    background = text[first:] == "&"
    return Command(text, (SHELL, "-c", text), background)


def split_main(text: str) -> Command | None:
    """Splits the command that becomes the task's main process: a final ``&`` is dropped.

    Main in the background would leave the task nothing to wait for but its descendants, of which main
    is one: the effect is the same, and its status is kept.
    """
    command = split(text)
    if command is None or not command.background:
        return command
    bare = split(text.rstrip()[:-1])
    return None if bare is None else Command(text, bare.argv)


def exact(argv: tuple[str, ...]) -> Command:
    """Makes a command from an argument vector, as ``Command = ["prog", "arg"]``: no shell, no splitting."""
    return Command(shlex.join(argv), argv)


def _words(text: str) -> tuple[str, ...]:
    """Splits at the blanks that jail(8) gives strtok(), not at every blank of Unicode."""
    return tuple(word for word in text.translate(_BLANKS).split(" ") if word)
