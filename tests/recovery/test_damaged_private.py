"""The file that holds what a teardown owes is damaged: the task goes on, and what cannot be known is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.config.model import Command
from jail_driver.engine import private as private_file
from jail_state.core.events import NoticeGiven, StepFailed
from jail_state.core.lifecycle import State

QUOTED = "hunter2-of-the-job"
DAMAGE = {
    "cut short": b'{"hooks": {"exec.poststop": [{"text": "' + QUOTED.encode(),
    "no JSON": b"\xff\x00\xfe" * 40,
    "another shape": b'{"hooks": [], "start": [], "params": {}, "secrets": []}',
    "a list": b"[1, 2]",
    "fields missing": b'{"hooks": {}, "secrets": []}',
    "fields of nobody": b'{"hooks": {}, "start": [], "params": {}, "secrets": [], "colour": "red"}',
    "empty": b"",
}


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_damage_has_one_name_and_quotes_nothing(tmp_path: Path, content: bytes) -> None:
    """Whatever is wrong with the file, who reads it learns that and no secret."""
    path = tmp_path / "private.json"
    path.write_bytes(content)
    with pytest.raises(private_file.DamagedError, match=r"private\.json is damaged") as raised:
        private_file.read(path)
    assert QUOTED not in str(raised.value)


def test_a_directory_in_its_place_is_damage_too(tmp_path: Path) -> None:
    """No try will ever read it."""
    (tmp_path / "private.json").mkdir()
    with pytest.raises(private_file.DamagedError, match="Is a directory"):
        private_file.read(tmp_path / "private.json")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """And what is gone is no damage."""
    path = tmp_path / "private.json"
    assert private_file.read(path) is None
    written = private_file.Private({"exec.poststop": (Command("a b", ("a", "b")),)}, {"vnet": None}, ())
    private_file.write(path, written)
    assert private_file.read(path) == written


@rig.needs_root
@pytest.mark.parametrize("content", [DAMAGE["cut short"], DAMAGE["another shape"]], ids=["cut", "shape"])
def test_a_running_task_is_taken_back(host: rig.Host, content: bytes) -> None:
    """The same main, its own status; the teardown runs without the hooks and says so; the host is clean."""

    async def scenario() -> None:
        before = host.snapshot()
        loop = f"{rig.UNTIL_TOLD}; exit 7"
        spec = host.spec({"Exec_start": f"echo once >> /alloc/runs; {loop}", "Exec_poststop": "true"})
        first = await rig.launch(host)
        started = await first.start(spec)
        main = host.task(spec.id).main
        await first.kill()
        private = host.state / "t" / Path(host.task(spec.id).plan.directory).name / "private.json"
        assert private.stat().st_mode & 0o777 == 0o600
        private.write_bytes(content)
        async with rig.plugin(host) as second:
            await second.client.recover(started.handle)
            assert (host.task(spec.id).state, host.task(spec.id).main) == (State.RUNNING, main)
            Path(spec.alloc_dir, "alloc/end").touch()
            result = await asyncio.wait_for(second.client.wait(spec.id), 50)
            assert (result.exit_code, result.signal, result.error) == (7, 0, "")
            history = [recorded.event for recorded in host.history(spec.id)]
            told = [event.text for event in history if isinstance(event, NoticeGiven)]
            assert any("without them" in text and str(private) in text for text in told), told
            [failed] = [event for event in history if isinstance(event, StepFailed)]
            assert failed.step == "exec.poststop[0]"
            assert "gone or damaged" in failed.error
            await second.client.destroy(spec.id)
        assert Path(spec.alloc_dir, "alloc/runs").read_text() == "once\n"
        assert QUOTED not in (host.state / "log/plugin.log").read_text()
        host.wait_clean(before)

    asyncio.run(scenario())


@rig.needs_root
def test_an_interrupted_start_takes_it_from_its_repetition(host: rig.Host) -> None:
    """StartTask carries everything once more: the start goes on, and no hook is lost."""

    async def scenario() -> None:
        before = host.snapshot()
        host.plan_faults({"point": "after-intent", "step": "jail", "do": "kill"})
        spec = host.spec({"Exec_start": "echo up; exit 3", "Exec_poststop": "true"})
        spec.config["Exec_poststop"] = f"touch {spec.alloc_dir}/poststop"  # type: ignore[index]
        first = await rig.launch(host)
        with pytest.raises(PluginError):
            await first.start(spec)
        await first.gone()
        (host.state / "t" / Path(host.task(spec.id).plan.directory).name / "private.json").write_bytes(b"{")
        async with rig.plugin(host) as second:
            await second.start(spec)
            result = await asyncio.wait_for(second.client.wait(spec.id), 50)
            assert (result.exit_code, result.error) == (3, "")
            assert Path(spec.alloc_dir, "poststop").exists()
            await second.client.destroy(spec.id)
        host.wait_clean(before)

    asyncio.run(scenario())
