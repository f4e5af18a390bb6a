"""One task's life, driven as an agent drives it: start, logs, states, stop, the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jail_driver import model
from jail_driver.agent.stub import PluginError
from jail_driver.cli import alloc, jobfile
from jail_driver.cli.session import Session
from jail_driver.cli.states import StateReader, sentence
from jail_driver.errors import ConfigError
from jail_driver.hclspec import Object

_POLL_S: Final = 0.05
_FETCH_TRIES: Final = 100
_FETCH_EVERY_S: Final = 0.1
_LOG_END_S: Final = 5.0
_FIRST_SIGNAL_CODE: Final = 128
"""A shell's way to tell a signal in an exit status (sh(1))."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for.

    Args:
        job: the job file's text.
        task: the task's name; empty: the only one.
        variables: values of the file's variables.
        state_dir: the driver's state directory.
        fetch: a URL to get once the task runs; empty: none.
        seconds: stop after this time; None: when the task ends, or at Ctrl-C.
        verbose: show all of the plugin's log.
        alone: nobody else uses the state directory, so that what lives in it was left by a killed run.
    """

    job: str
    state_dir: Path
    task: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    fetch: str = ""
    seconds: float | None = None
    verbose: bool = False
    alone: bool = False


def run(wanted: Wanted) -> int:
    """Runs the task; see ``jail_driver.cli.run.execute``."""
    return asyncio.run(_Run(wanted).to_the_end())


def say(sentence: str) -> None:
    """Tells the user something, apart from the task's own output."""
    sys.stdout.flush()
    sys.stderr.write(f"== {sentence}\n")
    sys.stderr.flush()


class _Run:
    """One run of one task."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        alloc_id = str(uuid.uuid4())
        self._job, self._env = jobfile.load(
            wanted.job, task=wanted.task, variables=wanted.variables, alloc_id=alloc_id
        )
        self._alloc_id = alloc_id
        self._id = f"{alloc_id}/{self._job.name}/{uuid.uuid4().hex[:8]}"
        self._session = Session({"state_dir": str(wanted.state_dir)}, say, verbose=wanted.verbose)
        self._states = StateReader(wanted.state_dir / "events.db", self._id)
        self._telling = asyncio.Lock()
        self._stops = asyncio.Queue[str]()

    async def to_the_end(self) -> int:
        """Runs the task and cleans up, whatever happens."""
        self._listen()
        if self._job.left_out:
            say(f"`run` leaves out: {', '.join(self._job.left_out)}")
        directory = Path(tempfile.mkdtemp(prefix="jtd-alloc-"))
        # Main may run as another user and passes through here to /alloc.
        directory.chmod(0o711)
        try:
            alloc.make(directory, self._job.name)
            await self._session.open()
            if self._wanted.alone:
                await self._end_leftovers()
            spec = self._spec(directory, await self._config())
            pipes = [
                alloc.LogPipe(Path(spec.stdout_path), sys.stdout.buffer),
                alloc.LogPipe(Path(spec.stderr_path), sys.stderr.buffer),
            ]
            follower = asyncio.create_task(self._follow())
            try:
                return await self._drive(spec)
            finally:
                await self._destroy(self._id)
                for pipe in pipes:
                    await asyncio.to_thread(pipe.close, _LOG_END_S)
                await self._tell_states()
                follower.cancel()
        finally:
            await self._session.close()
            shutil.rmtree(directory, ignore_errors=True)

    async def _end_leftovers(self) -> None:
        for task_id in await asyncio.to_thread(self._states.living):
            say(f"ending {task_id}, which a killed run has left")
            await self._destroy(task_id)

    async def _destroy(self, task_id: str) -> None:
        await self._session.call(lambda client: client.destroy(task_id, force=True))

    def _listen(self) -> None:
        """Ctrl-C, a closed terminal and SIGTERM stop the task; the second one does not wait for it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stops.put_nowait, number.name)

    async def _config(self) -> Mapping[str, Any]:
        """The config block with every key of the plugin's schema, as an agent sends it.

        Raises:
            ConfigError: a key that the schema does not have.
        """
        schema = await self._session.client.task_config_schema()
        known = schema.attributes if isinstance(schema, Object) else {}
        unknown = [name for name in self._job.config if name not in known]
        if unknown:
            raise ConfigError(*(f"{name} is no key of this driver's config block" for name in unknown))
        return dict.fromkeys(known) | dict(self._job.config)

    def _spec(self, directory: Path, config: Mapping[str, Any]) -> model.TaskSpec:
        job = self._job
        logs = directory / "alloc/logs"
        return model.TaskSpec(
            id=self._id,
            name=job.name,
            alloc_id=self._alloc_id,
            job_name=job.job,
            job_id=job.job,
            task_group=job.group,
            namespace=job.namespace,
            node_name="run",
            node_id=str(uuid.uuid4()),
            user=job.user,
            env=self._env,
            device_env={},
            config=config,
            resources=model.Resources(cpu_shares_mhz=job.cpu_mhz, memory_bytes=job.memory_bytes),
            mounts=(),
            devices=(),
            alloc_dir=str(directory),
            stdout_path=str(logs / f".{job.name}.stdout.fifo"),
            stderr_path=str(logs / f".{job.name}.stderr.fifo"),
        )

    async def _drive(self, spec: model.TaskSpec) -> int:
        """Starts the task and waits for it.

        Raises:
            PluginError: it could not be started.
        """
        start = asyncio.create_task(self._session.call(lambda client: client.start(spec)))
        stopper = asyncio.create_task(self._stop_when_asked())
        try:
            started = await start
            self._session.handle = started.handle
            wait = asyncio.create_task(self._session.call(lambda client: client.wait(self._id)))
            if self._wanted.fetch:
                await self._tell_states()
                say(await asyncio.to_thread(fetch, self._wanted.fetch))
            if self._wanted.seconds is not None:
                asyncio.get_running_loop().call_later(
                    self._wanted.seconds, self._stops.put_nowait, f"after {self._wanted.seconds:g} s"
                )
            result = await wait
            await self._tell_states()
        finally:
            start.cancel()
            stopper.cancel()
            with contextlib.suppress(asyncio.CancelledError, PluginError):
                await stopper
        return exit_status(result)

    async def _stop_when_asked(self) -> None:
        """Stops as Nomad does at the first request, by force at the next."""
        why = await self._stops.get()
        say(f"stopping the task ({why})")
        job = self._job
        stop = asyncio.create_task(
            self._session.call(
                lambda client: client.stop(self._id, timeout_s=job.kill_timeout_s, signal=job.kill_signal)
            )
        )
        why = await self._stops.get()
        say(f"by force ({why})")
        await self._destroy(self._id)
        await stop

    async def _follow(self) -> None:
        while True:
            await self._tell_states()
            await asyncio.sleep(_POLL_S)

    async def _tell_states(self) -> None:
        async with self._telling:
            for seen in await asyncio.to_thread(self._states.new):
                say(sentence(seen))


def exit_status(result: model.ExitResult) -> int:
    """Returns our exit status for the task's; says what a number cannot tell."""
    if result.error:
        say(f"the task's status is unknown: {result.error}")
        return 1
    if result.signal:
        say(f"signal {result.signal} ended the task")
        return _FIRST_SIGNAL_CODE + result.signal
    say(f"the task ended with status {result.exit_code}")
    return result.exit_code


def fetch(url: str) -> str:
    """Gets a URL from a server that may still be starting; a sentence about the reply."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    problem = ""
    for _ in range(_FETCH_TRIES):
        try:
            with opener.open(url, timeout=5) as reply:
                return f"GET {url}: {reply.status} {reply.read().decode(errors='replace').strip()}"
        except (urllib.error.URLError, OSError) as error:
            problem = str(error)
        time.sleep(_FETCH_EVERY_S)
    return f"GET {url}: {problem}"
