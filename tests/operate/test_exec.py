"""Commands beside main, over the plugin's own socket."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re

import rig
from operate.operating import hear, say, sh, task

pytestmark = rig.needs_root

CASES = {
    "notty: basic": (
        "echo hello stdout; echo hello stderr >&2; exit 43",
        False,
        b"",
        "hello stdout\n",
        "hello stderr\n",
        43,
    ),
    "notty: streaming": ("for n in 1 2 3; do echo $n; sleep 0.2; done", False, b"", "1\n2\n3\n", "", 0),
    "notty: stty check": (
        "stty size",
        False,
        b"",
        "",
        "stty: stdin: Inappropriate ioctl for device\n",
        1,
    ),
    "notty: stdin passing": (
        "echo hello from command; head -n1",
        False,
        b"hello from stdin\n",
        "hello from command\nhello from stdin\n",
        "",
        0,
    ),
    "tty: basic": (
        "echo hello stdout; echo hello stderr >&2; exit 43",
        True,
        b"",
        "hello stdout\r\nhello stderr\r\n",
        "",
        43,
    ),
    "tty: streaming": ("for n in 1 2 3; do echo $n; sleep 0.2; done", True, b"", "1\r\n2\r\n3\r\n", "", 0),
    "tty: stty check": ("sleep 1; stty size", True, b"", "100 100\r\n", "", 0),
    "tty: stdin passing": (
        "head -n1",
        True,
        b"hello from stdin\n",
        "hello from stdin\r\nhello from stdin\r\n",
        "",
        0,
    ),
    "tty: children processes": (
        "(( sleep 3; echo from background ) & ); echo from main; exec sleep 1",
        True,
        b"",
        "from main\r\n",
        "",
        0,
    ),
}
"""Nomad's conformance cases for drivers: command, terminal, stdin, stdout, stderr, exit code."""


class TestStreaming:
    """Input, output and end of one command."""

    def test_conformance(self, host: rig.Host) -> None:
        """Nomad's own cases for every driver's streaming exec, all at once on one task."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):

                async def one(text: str, stdin: bytes, *, tty: bool) -> tuple[str, str, int]:
                    sizes = [(50, 40), (100, 100)] if tty else []
                    said = await say(
                        plugin, spec, *sh(text), tty=tty, stdin=[stdin] if stdin else [], sizes=sizes
                    )
                    assert said.result is not None
                    stderr = re.sub("stty: .?standard input.?:", "stty: stdin:", said.stderr.decode())
                    return said.stdout.decode(), stderr, said.result.exit_code

                seen = await asyncio.gather(
                    *(one(text, stdin, tty=tty) for text, tty, stdin, *_ in CASES.values())
                )
                wanted = {name: (out, err, code) for name, (_, _, _, out, err, code) in CASES.items()}
                assert dict(zip(CASES, seen, strict=True)) == wanted

        asyncio.run(scenario())

    def test_a_big_input_comes_back_byte_for_byte(self, host: rig.Host) -> None:
        """10 MB of noise through cat, in chunks of all sizes."""
        data = os.urandom(10 * 1024 * 1024)
        chunks = [data[at : at + 70_001] for at in range(0, len(data), 70_001)]

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                said = await say(plugin, spec, "cat", stdin=chunks)
                assert said.result is not None
                assert said.result.exit_code == 0
                assert hashlib.sha256(said.stdout).digest() == hashlib.sha256(data).digest()

        asyncio.run(scenario())

    def test_a_hundred_at_once(self, host: rig.Host) -> None:
        """Each has its own input, output and status."""

        async def one(plugin: rig.Plugin, spec: rig.TaskSpec, number: int) -> None:
            said = await say(plugin, spec, *sh(f"cat; exit {number}"), stdin=[b"%d" % number], timeout_s=60)
            assert said.result is not None
            assert (said.stdout, said.stderr, said.result.exit_code) == (b"%d" % number, b"", number)

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                await asyncio.gather(*(one(plugin, spec, number) for number in range(100)))

        asyncio.run(scenario())

    def test_output_goes_on_after_the_input_is_closed(self, host: rig.Host) -> None:
        """Half-close: the end of stdin is the command's affair alone."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                said = await say(plugin, spec, *sh("cat; sleep 0.3; echo after"), stdin=[b"x\n"])
                assert said.stdout == b"x\nafter\n"

        asyncio.run(scenario())

    def test_a_command_that_does_not_read_is_fed_in_vain(self, host: rig.Host) -> None:
        """Its output and status count, not the input that nobody took."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                said = await say(
                    plugin, spec, *sh("exec 0<&-; sleep 0.2; echo ok; exit 3"), stdin=[b"x" * 200_000]
                )
                assert said.result is not None
                assert (said.stdout, said.result.exit_code) == (b"ok\n", 3)

        asyncio.run(scenario())

    def test_a_terminal_can_be_resized_and_told_the_end_of_input(self, host: rig.Host) -> None:
        """The command gets SIGWINCH and sees the new size; end of input ends ``cat``."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                script = "trap 'stty size' WINCH; echo $TERM; while sleep 0.1; do :; done"
                session = await plugin.client.exec_streaming(spec.id, sh(script), tty=True)
                heard = b""
                async for _name, data in session.outputs():
                    heard += data
                    if heard == b"xterm\r\n":
                        await session.resize(33, 44)
                    if b"33 44" in heard:
                        break
                session = await plugin.client.exec_streaming(spec.id, ("cat",), tty=True)
                await session.send(b"line\n")
                await session.close_stdin()
                said = await asyncio.wait_for(hear(session), 20)
                assert said.stdout.startswith(b"line\r\n")
                assert said.result is not None
                assert said.result.exit_code == 0

        asyncio.run(scenario())

    def test_an_interrupt_key_reaches_the_command(self, host: rig.Host) -> None:
        """The terminal is the command's controlling one: ^C is SIGINT."""

        async def scenario() -> None:
            async with task(host) as (plugin, spec):
                session = await plugin.client.exec_streaming(spec.id, sh("echo up; exec sleep 60"), tty=True)
                heard = b""
                async for _name, data in session.outputs():
                    heard += data
                    if heard.endswith(b"up\r\n"):
                        await session.send(b"\x03")
                assert session.result is not None
                assert (session.result.exit_code, session.result.signal) == (130, 2)

        asyncio.run(scenario())
