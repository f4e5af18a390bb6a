"""The plugin as a process: handshake, environment, signals, descriptors, the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from jail_driver import trees
from jail_driver.agent.client import DriverClient
from jail_driver.agent.process import LaunchError, PluginProcess
from jail_driver.plugin import handshake
from plugin_client import loaded, sample_task

Env = Mapping[str, str]


def test_run_by_hand_it_explains_itself(argv: list[str]) -> None:
    """Without the cookie there is no server, but a sentence that says where the plugin belongs."""
    done = subprocess.run(argv, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "plugin_dir" in done.stderr


def test_tls_is_refused_at_once(argv: list[str], env: Env) -> None:
    """A host that insists on TLS gets a sentence, not a minute of waiting."""

    async def scenario() -> None:
        with pytest.raises(LaunchError, match="PLUGIN_CLIENT_CERT: this plugin speaks plaintext"):
            await PluginProcess.launch(argv, env={**env, "PLUGIN_CLIENT_CERT": "PEM"})

    asyncio.run(scenario())


def test_handshake_line() -> None:
    """The fields are go-plugin's; the seventh is said only to a host that asks for it."""
    assert handshake.handshake_line("/t/s", {}) == "1|2|unix|/t/s|grpc|\n"
    asked = {"PLUGIN_MULTIPLEX_GRPC": "true"}
    assert handshake.handshake_line("/t/s", asked) == "1|2|unix|/t/s|grpc||false\n"


def test_a_stray_line_spoils_the_handshake(argv: list[str], env: Env) -> None:
    """The client, as Nomad's, takes the first line of stdout and nothing else."""

    async def scenario() -> None:
        with pytest.raises(LaunchError, match="not the handshake of a Nomad plugin: 'a stray line'"):
            await PluginProcess.launch([*argv, "--noise"], env=env)

    asyncio.run(scenario())


def test_programs_that_are_no_plugin() -> None:
    """What cannot be run, ends at once or stays silent is told apart."""

    async def scenario() -> None:
        with pytest.raises(LaunchError, match="cannot run /nowhere: No such file"):
            await PluginProcess.launch(["/nowhere"])
        with pytest.raises(LaunchError, match="ended with status 3 before its handshake; it said: oh no"):
            await PluginProcess.launch(["sh", "-c", "echo oh no >&2; exit 3"])
        with pytest.raises(LaunchError, match="said nothing within"):
            await PluginProcess.launch(["sleep", "30"], timeout_s=0.1)

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["plain", "a b", "100%41", "x#y?z"])
def test_socket_is_private_and_removed(name: str, argv: list[str], env: Env, tmp_path: Path) -> None:
    """The socket lies in a directory that only its owner enters, and both are gone at the end."""
    directory = tmp_path.parent / f"{os.getpid()}{name}"
    directory.mkdir()

    async def scenario() -> None:
        async with loaded(argv, env={**env, "TMPDIR": str(directory)}) as plugin:
            home = Path(plugin.process.address).parent
            assert home.parent in {directory, Path("/tmp")}
            assert stat.S_IMODE(home.stat().st_mode) == 0o700
            await plugin.client.shutdown()
            assert await plugin.process.end() == 0
            assert not home.exists()

    asyncio.run(scenario())
    directory.rmdir()


def test_a_long_tmpdir_is_left_for_tmp(tmp_path: Path) -> None:
    """A socket's address is bounded, so a deep TMPDIR must not keep the plugin from starting."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    path = handshake.make_socket_path({handshake.SOCKET_DIR_KEY: str(deep)})
    assert path.startswith("/tmp/jail-plugin-")
    handshake.remove_socket(path)
    assert not Path(path).parent.exists()


@pytest.mark.parametrize("depth", [1, 100])
def test_an_agent_that_sees_another_tree_finds_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    """Under FreeBSD's Linux ABI our /tmp may be /compat/linux/tmp, and an agent of FreeBSD's own has another."""
    directory = tmp_path / ("d" * depth)
    directory.mkdir()
    tree = Path(tempfile.mkdtemp(dir="/tmp"))
    for top in {directory.parts[1], "tmp"}:
        (tree / top).symlink_to(f"/{top}")
    monkeypatch.setattr(trees, "LINUX_TREE", str(tree))
    path = handshake.make_socket_path({"TMPDIR": str(directory)})
    try:
        assert path.startswith(f"{tree}/")
        assert len(path) <= handshake.LONGEST_SOCKET_PATH
        assert Path(path).parent.is_dir()
    finally:
        handshake.remove_socket(path)
        shutil.rmtree(tree)


def test_handshake_has_no_side_effects(argv: list[str], env: Env, notes: Path) -> None:
    """Two of three launches only ask: no service is made, and the store's libraries are not loaded."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.plugin_info()
            await plugin.client.config_schema()
        assert not notes.exists()

    asyncio.run(scenario())
    heavy = "{'sqlalchemy', 'alembic', 'structlog', 'transitions', 'hcl2', 'rich'}"
    code = f"import sys, jail_driver.plugin.serve; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_the_terminal_is_the_agents_business(number: signal.Signals, argv: list[str], env: Env) -> None:
    """Ctrl-C or a hang-up that reaches the whole process group does not end the plugin."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            for _ in range(3):
                os.kill(plugin.process.pid, number)
            await asyncio.sleep(0.2)
            assert (await plugin.client.plugin_info()).is_driver

    asyncio.run(scenario())


def test_signals_are_not_ignored_in_children(argv: list[str], env: Env, notes: Path) -> None:
    """Handlers, not SIG_IGN: a child of the plugin can still be interrupted."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.set_config({"child": True}, real=True)
            child, ignored = await _child(notes)
            os.kill(child, signal.SIGKILL)
            assert ignored == "[]"

    asyncio.run(scenario())


def test_children_do_not_hide_the_plugins_death(argv: list[str], env: Env, notes: Path) -> None:
    """Nomad waits for the end of both pipes: no child may hold one, or a dead plugin looks alive."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.set_config({"child": True}, real=True)
            child, _ = await _child(notes)
            try:
                assert await asyncio.wait_for(plugin.process.kill(), 5) == -signal.SIGKILL
            finally:
                os.kill(child, signal.SIGKILL)

    asyncio.run(scenario())


async def _child(notes: Path) -> tuple[int, str]:
    """Wait for the line that the plugin's child writes: its pid, and the signals that it ignores."""
    async with asyncio.timeout(10):
        while True:
            for line in notes.read_text().splitlines():
                if line.startswith("child "):
                    _, pid, _, ignored = line.split(maxsplit=3)
                    return int(pid), ignored
            await asyncio.sleep(0.02)


def test_shutdown_is_quick_and_closes_once(argv: list[str], env: Env, notes: Path) -> None:
    """Shutdown ends calls, closes the service and the process well within go-plugin's two seconds."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t", runs=True))
            wait = asyncio.create_task(plugin.client.wait("t"))
            began = time.monotonic()
            await plugin.client.shutdown()
            assert await plugin.process.end() == 0
            assert time.monotonic() - began < 1.5
            await asyncio.gather(wait, return_exceptions=True)
        assert notes.read_text().splitlines()[-1] == "closing"

    asyncio.run(scenario())


def test_a_close_that_hangs_is_cut_off(argv: list[str], env: Env) -> None:
    """The end has a bound of its own, below the host's SIGKILL."""

    async def scenario() -> None:
        async with loaded([*argv, "--hang"], env=env) as plugin:
            await plugin.client.shutdown()
            assert await plugin.process.end() == 0

    asyncio.run(scenario())


def test_sigterm_ends_like_shutdown(argv: list[str], env: Env) -> None:
    """SIGTERM is an ordinary end: status 0 and no socket left."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            os.kill(plugin.process.pid, signal.SIGTERM)
            assert await plugin.process.wait(5) == 0
            assert not Path(plugin.process.address).exists()

    asyncio.run(scenario())


def test_reattach(argv: list[str], env: Env) -> None:
    """A second agent finds the plugin by its socket, as after an agent's crash."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t"))
            again = DriverClient(plugin.process.address)
            await again.connect()
            await again.init()
            assert (await again.wait("t")).exit_code == 7
            await again.close()

    asyncio.run(scenario())


def test_an_unusable_directory_is_one_sentence(argv: list[str], env: Env, tmp_path: Path) -> None:
    """A directory for the socket that does not exist is named before the handshake."""

    async def scenario() -> None:
        missing = str(tmp_path / "no")[-60:]
        with pytest.raises(LaunchError, match=r"no directory for the plugin's socket in .*: No such file"):
            await PluginProcess.launch(argv, env={**env, "PLUGIN_UNIX_SOCKET_DIR": missing})

    asyncio.run(scenario())
