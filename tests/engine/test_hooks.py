"""How a hook's command becomes an argument list."""

from __future__ import annotations

import pytest

from jail_driver.config.model import Command
from jail_driver.engine.steps.hooks import _argv
from jail_driver.host.errors import HostError

PATH = "/nowhere:/usr/bin:/bin"


def test_a_command_without_shell_characters_is_executed_directly() -> None:
    """As jail(8) does it (recorded): no shell in between."""
    argv = _argv(Command("env A=1", ("env", "A=1")), PATH, "/bin/sh", "exec.prestart[0]")
    assert argv[1:] == ["A=1"]
    assert argv[0] in ("/usr/bin/env", "/bin/env")
    assert _argv(Command("/x/y z", ("/x/y", "z")), PATH, "/bin/sh", "exec.prestart[0]") == ["/x/y", "z"]


def test_a_background_command_is_the_shells_business() -> None:
    """The shell returns at once, the command goes on."""
    command = Command("sleep 9 &", ("sleep", "9"), background=True)
    assert _argv(command, PATH, "/bin/sh", "exec.prestart[0]") == ["/bin/sh", "-c", "sleep 9 &"]


def test_a_missing_program_is_named_with_the_path_that_was_searched() -> None:
    """Not just a status 127."""
    with pytest.raises(
        HostError, match=r'exec.prestart\[0\]: "no-such-program" is not found in .*PATH /nowhere'
    ):
        _argv(Command("no-such-program", ("no-such-program",)), PATH, "/bin/sh", "exec.prestart[0]")


def test_under_the_linux_abi_freebsds_own_shell_finds_the_program() -> None:
    """/bin and /usr/bin would be /compat/linux's to us; arguments pass unchanged, whatever they hold."""
    command = Command("logger a", ("logger", "a b", "$HOME;"))
    assert _argv(command, PATH, "/rescue/sh", "exec.prestart[0]") == [
        "/rescue/sh",
        "-c",
        'exec "$@"',
        "sh",
        "logger",
        "a b",
        "$HOME;",
    ]
    text = Command("a; b", ("/bin/sh", "-c", "a; b"))
    assert _argv(text, PATH, "/rescue/sh", "exec.prestart[0]")[4:] == ["/rescue/sh", "-c", "a; b"]
