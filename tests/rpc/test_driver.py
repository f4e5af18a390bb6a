"""Each RPC of the driver service, through a real plugin process over its socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from jail_driver import hclspec, model
from jail_driver.agent.stub import PluginError
from jail_driver.plugin.pb import driver_pb2
from plugin_client import Loaded, loaded, sample_task

Env = Mapping[str, str]


def test_identity_and_schemas(argv: list[str], env: Env, notes: Path) -> None:
    """Info, schemas and capabilities need no service: Nomad's first two launches only ask for them."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            info = await plugin.client.plugin_info()
            assert (info.name, info.api_versions, info.is_driver) == ("jail-task-driver", ("0.1.0",), True)
            schema = await plugin.client.config_schema()
            default = hclspec.Default(hclspec.Attr("state_dir", "string"), hclspec.Literal('"/x"'))
            assert (
                schema == hclspec.Object({"state_dir": default}) == await plugin.client.task_config_schema()
            )
            offered = await plugin.client.capabilities()
            assert offered.send_signals
            assert offered.fs_isolation == driver_pb2.DriverCapabilities.IMAGE
            assert offered.mount_configs == driver_pb2.DriverCapabilities.ANY_MOUNTS
            assert list(offered.network_isolation_modes) == [driver_pb2.NetworkIsolationSpec.HOST]
            await plugin.client.init()
        assert not notes.exists()

    asyncio.run(scenario())


def test_set_config(argv: list[str], env: Env, notes: Path) -> None:
    """The launch that only validates is told from the real one; a refusal names the option."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.set_config({"state_dir": "/fine"}, real=False)
            await plugin.client.set_config({}, real=True)
            with pytest.raises(PluginError, match="/refused is not writable") as refused:
                await plugin.client.set_config({"state_dir": "/refused"}, real=True)
            assert refused.value.code == "INVALID_ARGUMENT"
        assert notes.read_text().splitlines() == ["made", "configured real=False", "configured real=True"]

    asyncio.run(scenario())


def test_start_echoes_the_task(argv: list[str], env: Env) -> None:
    """StartTask's handle holds version, driver state and the whole config of the request."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            spec = sample_task(Path="/x", Exec_start=["a", "b"], Rctl=None, n=1.5)
            started = await plugin.client.start(spec)
            assert started.handle == model.Handle(3, model.HandleState.RUNNING, b"state", spec)
            assert started.network == model.DriverNetwork("10.0.0.9", True, {"http": 9999})
            await plugin.client.recover(started.handle)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("failure", "recoverable", "text"),
    [
        ("config", False, "Path: /nowhere does not exist: make it"),
        ("again", True, "exec.prestart[1] failed with status 3"),
        ("never", False, "no such program: httpd"),
        ("host", True, "mount /alloc: No such file or directory"),
        ("unavailable", True, "the database is locked"),
        ("unsupported", False, "use Exec_start instead"),
        ("defect", None, "internal error: ZeroDivisionError: division by zero"),
    ],
)
def test_failed_start(
    failure: str, text: str, argv: list[str], env: Env, *, recoverable: bool | None
) -> None:
    """A failed start is one sentence, with the detail by which Nomad decides to try again or not."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            with pytest.raises(PluginError) as failed:
                await plugin.client.start(sample_task(fail=failure))
            assert (failed.value.text, failed.value.recoverable) == (text, recoverable)
            expected = "INTERNAL" if recoverable is None else "FAILED_PRECONDITION"
            assert failed.value.code == expected

    asyncio.run(scenario())


def test_a_long_error_arrives(argv: list[str], env: Env) -> None:
    """An error text too long for a header is cut, not lost."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            with pytest.raises(PluginError, match=r"^StartTask: ü{3999}…$"):
                await plugin.client.start(sample_task(fail="long"))

    asyncio.run(scenario())


def test_a_defect_leaves_its_traceback_in_the_log(argv: list[str], env: Env) -> None:
    """What we did not expect can be found: the log has the task id and the traceback."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            with pytest.raises(PluginError):
                await plugin.client.start(sample_task("a/b/1", fail="defect"))
            await plugin.client.shutdown()
            await plugin.process.end()
            line = next(line for line in plugin.lines if line["@level"] == "error")
            assert (line["rpc"], line["task_id"]) == ("StartTask", "a/b/1")
            assert "ZeroDivisionError" in line["traceback"]

    asyncio.run(scenario())


def test_wait_gives_the_whole_result(argv: list[str], env: Env) -> None:
    """WaitTask is repeatable, and keeps exit code, signal, OOM and text apart."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t"))
            expected = model.ExitResult(7, 9, oom_killed=True, error="text")
            assert [await plugin.client.wait("t") for _ in range(2)] == [expected, expected]

    asyncio.run(scenario())


def test_wait_outlives_a_hiccup(argv: list[str], env: Env) -> None:
    """An error from WaitTask would fail a living task, so what may pass is waited out."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t", hiccup=True))
            assert (await plugin.client.wait("t")).exit_code == 7

    asyncio.run(scenario())


def test_the_verbs_reach_the_service(argv: list[str], env: Env, notes: Path) -> None:
    """Stop, destroy and signal carry their arguments over."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t"))
            await plugin.client.signal("t", "SIGHUP")
            await plugin.client.stop("t", timeout_s=1.25, signal="SIGINT")
            await plugin.client.destroy("t", force=True)
            with pytest.raises(PluginError) as unknown:
                await plugin.client.signal("nobody", "SIGHUP")
            assert unknown.value.code == "NOT_FOUND"
        done = notes.read_text().splitlines()
        assert done[2:] == ["signal t SIGHUP", "stop t 1.25 SIGINT", "destroy t True"]

    asyncio.run(scenario())


def test_inspect_writes_not_yet_as_year_one(argv: list[str], env: Env) -> None:
    """A time that has not come is Go's zero time on the wire, and None on both sides of it."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t"))
            status = await plugin.client.inspect("t")
            assert status.started_at_ns == 1_700_000_000_123_456_789
            assert status.completed_at_ns is None
            request = driver_pb2.InspectTaskRequest(task_id="t")
            raw = await plugin.client._driver.call("InspectTask", request)
            assert raw.task.completed_at.seconds == -62135596800

    asyncio.run(scenario())


def test_exec(argv: list[str], env: Env) -> None:
    """ExecTask's exit code is a result, not an error."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t"))
            outcome = await plugin.client.exec("t", ["id", "-u"], 2.5)
            assert outcome == model.ExecOutcome(b"id -u", b"2.5", model.ExitResult(4))

    asyncio.run(scenario())


def test_exec_streaming(argv: list[str], env: Env) -> None:
    """Input, terminal sizes and heartbeats go in, both streams and the exit code come out."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            await plugin.client.start(sample_task("t"))
            session = await plugin.client.exec_streaming("t", ["sh"], tty=True)
            await session.resize(24, 80)
            await session.heartbeat()
            await session.send(b"hello")
            await session.close_stdin()
            output = [item async for item in session.outputs()]
            size, beat, text = b"{'tty_size': (24, 80)}", b"{'heartbeat': True}", b"{'stdin': b'hello'}"
            assert output[0] == ("stderr", b"('sh',) True")
            assert output[1:] == [("stdout", data) for data in (size, size, beat, beat, text, text)]
            assert session.result == model.ExitResult(43)

    asyncio.run(scenario())


def test_exec_streaming_wants_its_setup(argv: list[str], env: Env) -> None:
    """A stream that does not begin with the setup is refused with a sentence."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            session = await plugin.client.exec_streaming("nobody", ["sh"], tty=False)
            with pytest.raises(PluginError, match="no task 'nobody'"):
                await anext(session.outputs())
            call = plugin.client._driver.method("ExecTaskStreaming")()
            await call.write(driver_pb2.ExecTaskStreamingRequest())
            assert await call.details() == "exec: the first message must be the setup"

    asyncio.run(scenario())


def test_networks_are_not_nomads(argv: list[str], env: Env) -> None:
    """CreateNetwork is refused with what to use instead; DestroyNetwork of nothing is fine."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            driver = plugin.client._driver
            with pytest.raises(PluginError, match="Ip4_addr") as refused:
                await driver.call("CreateNetwork", driver_pb2.CreateNetworkRequest())
            assert refused.value.code == "UNIMPLEMENTED"
            await driver.call("DestroyNetwork", driver_pb2.DestroyNetworkRequest())
            await driver.call("Shutdown", driver_pb2.ShutdownRequest())

    asyncio.run(scenario())


def test_hostile_config_bytes(argv: list[str], env: Env) -> None:
    """Bytes that are no msgpack map are a refusal that may not be retried, never a defect."""

    async def scenario() -> None:
        async with loaded(argv, env=env) as plugin:
            for raw in (b"\xc1", b"\x93\x01\x02\x03", b"\x81\x01\x02", b"\x91" * 5000, b"\xa5ab"):
                await _refused(plugin, raw)

    asyncio.run(scenario())


async def _refused(plugin: Loaded, raw: bytes) -> None:
    request = driver_pb2.StartTaskRequest(task=driver_pb2.TaskConfig(id="t", msgpack_driver_config=raw))
    with pytest.raises(PluginError, match="config: Nomad sent") as refused:
        await plugin.client._driver.call("StartTask", request)
    assert refused.value.recoverable is False
