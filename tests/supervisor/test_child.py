"""What a command finds: its arguments, its environment, and nothing of the supervisor's."""

from __future__ import annotations

import json
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jail_driver.supervisor.client import read_exit
from jail_driver.supervisor.spawn import command_from
from supervisor.lab import Lab, command, shell

_SHOW = """
import json, os, sys
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
json.dump({
    "argv": [os.fsencode(word).hex() for word in sys.argv[2:]],
    "cwd": os.getcwd(),
    "fds": {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")},
    "ignored": int(status["SigIgn"], 16),
    "blocked": int(status["SigBlk"], 16),
    "leader": os.getsid(0) == os.getpid() == os.getpgid(0),
    "umask": os.umask(0),
}, open(sys.argv[1], "w"))
"""


def show(lab: Lab, *words: str, cwd: str | None = None) -> dict[str, object]:
    """Runs a main that reports what it was given."""
    report = lab.folder / "report.json"

    async def test() -> None:
        argv = (sys.executable, "-I", "-S", "-X", "utf8", "-c", _SHOW, str(report), *words)
        await lab.main(command(*argv, cwd=cwd))

    lab.run(test())
    lab.wait_ended()
    shown: dict[str, object] = json.loads(report.read_text())
    return shown


def environment(lab: Lab, env: dict[str, str]) -> dict[bytes, bytes]:
    """Runs a main that prints its environment; Python would add to its own."""
    output = lab.folder / "environment"
    output.touch()

    async def test() -> None:
        await lab.main(command("/usr/bin/env", "-0", env=env), stdout=output)

    lab.run(test())
    lab.wait_ended()
    pairs = output.read_bytes().split(b"\0")[:-1]
    return {name: value for name, _, value in (pair.partition(b"=") for pair in pairs)}


def test_arguments_carry_any_bytes(lab: Lab) -> None:
    """What is not UTF-8 arrives byte for byte, as do blanks, quotes, newlines and the empty word."""
    words = ["", "a b", "'\"$x\n", "\udcff\udc80", "é€"]
    assert show(lab, *words)["argv"] == [os.fsencode(word).hex() for word in words]


def test_the_environment_carries_any_bytes(lab: Lab) -> None:
    """Names and values too; and nothing of the agent's, the plugin's or the helper's comes along."""
    assert environment(lab, {"A": "\udcfe=\n", "ü": ""}) == {b"A": b"\xfe=\n", "ü".encode(): b""}


def test_an_empty_environment_is_empty(lab: Lab) -> None:
    """Exactly what was ordered."""
    assert environment(lab, {}) == {}


def test_a_large_environment_arrives_whole(lab: Lab) -> None:
    """An order of more than a megabyte is an order like any other."""
    env = {f"NAME_{number}": "x" * 1024 for number in range(1024)}
    assert environment(lab, env) == {name.encode(): value.encode() for name, value in env.items()}


def test_only_the_standard_descriptors_are_inherited(lab: Lab) -> None:
    """No lock, no socket, no descriptor that could read the log: a task cannot hold its supervisor's life."""
    fds = show(lab)["fds"]
    assert isinstance(fds, dict)
    assert fds == {"0": "/dev/null", "1": str(lab.stdout), "2": str(lab.stderr)}


def test_the_log_descriptors_block_and_only_write(lab: Lab) -> None:
    """A non-blocking one would give the task EAGAIN, a readable one would let it steal the log."""

    async def test() -> None:
        check = "import fcntl, os; sys_flags = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (1, 2)]\n"
        check += (
            "raise SystemExit(any(f & (os.O_NONBLOCK | os.O_RDWR) or not f & os.O_WRONLY for f in sys_flags))"
        )
        await lab.main(command(sys.executable, "-I", "-S", "-c", check))

    lab.run(test())
    lab.wait_ended()
    ended = read_exit(lab.sup_dir)
    assert ended is not None
    assert ended.exit_code == 0


def test_signals_are_as_a_fresh_program_expects(lab: Lab) -> None:
    """What the supervisor ignores or blocks is its own affair."""
    shown = show(lab)
    python_ignores = (1 << 12) | (1 << 24)  # SIGPIPE and SIGXFSZ, by the reporting interpreter itself
    ignored = shown["ignored"]
    assert isinstance(ignored, int)
    # 32 and 33 are the C library's own: its posix_spawn(3), which make(1) uses, leaves them ignored, and no
    # program can change that.
    c_library = (1 << 31) | (1 << 32)
    assert ignored & ~python_ignores & ~c_library == 0
    assert shown["blocked"] == 0


def test_each_command_leads_its_own_session(lab: Lab) -> None:
    """A signal to main's group does not reach the supervisor."""
    assert show(lab)["leader"] is True


def test_the_working_directory_is_the_ordered_one(lab: Lab) -> None:
    """And / if none is: the plugin's own must not keep a mount busy."""
    assert show(lab, cwd=str(lab.folder))["cwd"] == str(lab.folder)


def test_the_working_directory_is_the_root_by_default(lab: Lab) -> None:
    """Not the helper's, not the plugin's."""
    assert show(lab)["cwd"] == "/"


def test_the_umask_is_the_one_that_the_plugin_was_given(lab: Lab) -> None:
    """The supervisor keeps its own files private; that is no business of the task."""
    before = os.umask(0o027)
    try:
        assert show(lab)["umask"] == 0o027
    finally:
        os.umask(before)


def test_setup_commands_read_nothing(lab: Lab) -> None:
    """Their stdin is /dev/null: a command that asks a question gets the end of file."""

    async def test() -> None:
        lab.read_from(lab.stdout)
        await lab.main(shell("echo done"), shell("cat"))

    lab.run(test())
    lab.wait_ended()
    assert lab.taken(lab.stdout) == b"done\n"


@given(st.binary())
def test_every_byte_string_but_nul_can_be_a_word(raw: bytes) -> None:
    """What os.fsdecode made of a byte string goes through JSON and comes out as that byte string."""
    word = os.fsdecode(raw)
    order = json.loads(json.dumps({"argv": ["/bin/true", word], "env": {"A": word}}))
    if b"\0" in raw:
        with pytest.raises(ValueError, match="NUL"):
            command_from(order)
    else:
        made = command_from(order)
        assert (made.argv, made.env, made.cwd) == ([b"/bin/true", raw], {b"A": raw}, b"/")


@given(st.text(alphabet=st.characters()))
def test_any_text_is_passed_or_refused(word: str) -> None:
    """Lone surrogates that stand for no byte included: an error that the order's reader expects, never another."""
    try:
        made = command_from({"argv": ["/bin/true", word], "env": {}})
    except ValueError:
        return
    assert made.argv[1].decode("utf-8", "surrogateescape") == word
