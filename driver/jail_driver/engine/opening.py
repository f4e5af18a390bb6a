"""The first real use: state directory, ownership, journal, tools, host; then every living task is recovered.

Nomad launches a plugin three times and means it only the last time, so nothing here happens before SetConfig
with Nomad's own configuration, Fingerprint, StartTask or RecoverTask.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jail_driver import log, trees
from jail_driver.activity import Activity
from jail_driver.config.options import PluginOptions
from jail_driver.engine.actor import TaskActor
from jail_driver.engine.faults import Faults
from jail_driver.engine.feed import Feed
from jail_driver.engine.node import Node
from jail_driver.engine.ownership import Ownership
from jail_driver.engine.paths import StateDir
from jail_driver.engine.runtime import Runtime
from jail_driver.errors import UnavailableError
from jail_driver.host import tools
from jail_driver.host.command import CommandRunner
from jail_driver.host.freebsd import FreeBSDHost
from jail_driver.supervisor.launcher import ForkHelper
from jail_state.core.task import replay
from jail_state.store.writer import Journal

if TYPE_CHECKING:
    from jail_state.store.port import EventStore

_log = log.get("opening")


async def open_node(options: PluginOptions, activity: Activity, on_trouble: Callable[[], None]) -> Node:
    """Make everything ready to act, and one actor per living task, not yet recovered.

    Args:
        options: the operator's.
        activity: tells whether an agent still needs this plugin.
        on_trouble: called when the journal gets into trouble later, or out of it.

    Raises:
        UnavailableError: another plugin acts here, or the state directory cannot be used.
        HostError: the jail tools cannot be used.
        jail_state.store.errors.UnavailableError: the event store cannot.
    """
    # The mount table shows real paths: a state directory behind a symbolic link would never be found in it.
    state = make_directories(StateDir(Path(os.path.realpath(options.state_dir))))
    log.attach_file(state.logs)
    ownership = Ownership(state, _agent_alive(activity), _end)
    serving = False

    def tell(_trouble: object) -> None:
        # Whoever opens is told of a failure by the error. Telling it as a change, too, would have the fingerprint
        # look again at once, and so open again, for ever.
        if serving:
            on_trouble()

    journal = Journal(lambda: _open_store(state), on_trouble=tell)
    try:
        await ownership.acquire()
        await journal.open()
        runner = CommandRunner()
        found = await tools.discover(options.jail_tools, state.root, runner)
        host = FreeBSDHost(found, runner)
        boot_id = await host.boot_id()
        actors: dict[str, TaskActor] = {}
        runtime = Runtime(
            options=options,
            state=state,
            host=host,
            runner=runner,
            tools=found,
            helper=ForkHelper(boot_id),
            journal=journal,
            feed=Feed(),
            boot_id=boot_id,
            living=actors,
            faults=Faults.from_environment(),
            ownership=ownership,
        )
        await journal.purge(runtime.now_ns() - int(options.retain_s * 1e9))
        for stream, history in (await journal.live()).items():
            actors[stream] = TaskActor(runtime, replay(history))
    except BaseException:
        await journal.close()
        await ownership.release()
        raise
    serving = True
    _log.info("ready", state_dir=str(state.root), tools=found.jail, tasks=len(actors))
    return Node(runtime, actors)


def make_directories(state: StateDir) -> StateDir:
    """Make the state directory and its fixed subdirectories, private to us.

    Returns:
        The same, by the name that FreeBSD's programs know it by.

    Raises:
        UnavailableError: it cannot be made, or there are two of it.
    """
    if trees.has_a_twin(str(state.database)):
        raise UnavailableError(
            f'state_dir = "{state.root}": FreeBSD\'s directory of that name holds a history, but to this Linux'
            f" Python the name leads into {trees.LINUX_TREE}: remove what is in the way there, or name another"
        )
    try:
        state.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (state.tasks, state.sockets, state.logs):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f'state_dir = "{state.root}": {error.strerror}') from error
    return StateDir(Path(trees.known_to_all(str(state.root))))


def _open_store(state: StateDir) -> EventStore:
    # SQLAlchemy costs more than all the rest of the start: only the real use pays for it.
    from jail_state.store.sqlite import open_store  # noqa: PLC0415

    return open_store(state.database)


def _agent_alive(activity: Activity) -> Callable[[], bool]:
    parent = os.getppid()
    return lambda: activity.agent_alive or os.getppid() == parent != 1


def _end() -> None:
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGTERM)
