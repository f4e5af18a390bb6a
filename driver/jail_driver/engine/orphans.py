"""What lies under our state directory and no history knows: left by a store that was lost, undone here.

Ours is what the journal names or whose path lies under our state directory; never a name prefix. So a jail is
an orphan by its path alone, a mount by its target, and limits by the name of such a jail.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jail_driver import log
from jail_driver.engine.paths import TaskDir
from jail_driver.engine.steps.files import remove_files
from jail_driver.errors import DriverError
from jail_driver.host.port import JailHost, JailSeen
from jail_driver.supervisor import records
from jail_driver.supervisor.client import SupervisorClient
from jail_state.core.ids import task_hash

if TYPE_CHECKING:
    from jail_driver.engine.runtime import Runtime

_log = log.get("orphans")
_BOUND_S: Final = 60.0
_PAUSE_S: Final = 0.2


async def undo_orphans(runtime: Runtime) -> None:
    """Undo all of them, side by side, each within a bounded time; what cannot be undone is told."""
    try:
        found = await find(runtime)
    except (DriverError, OSError) as error:
        _log.error("cannot look for orphans", error=str(error))
        return
    await asyncio.gather(*(_undo_bounded(runtime.host, directory) for directory in found))


async def find(runtime: Runtime) -> tuple[TaskDir, ...]:
    """Return the task directories that no history knows: from the disk, the mounts and the jails.

    Raises:
        HostError: the host does not tell.
        OSError: the state directory cannot be read.
    """
    state = runtime.state
    names = {entry.name for folder in (state.tasks, state.sockets) for entry in folder.iterdir()}
    paths = [seen.target for seen in await runtime.host.mounts()]
    paths += [seen.path for seen in await runtime.host.jails(dying=True)]
    names.update(_names_below(state.tasks, paths))
    # Asked last: a task that was started meanwhile is in the journal before anything of it is on the host.
    known = {task_hash(stream) for stream in runtime.living}
    return tuple(TaskDir(state.tasks / name, state.sockets / name) for name in sorted(names - known))


def _names_below(tasks: Path, paths: list[str]) -> Iterator[str]:
    for path in paths:
        with contextlib.suppress(ValueError, IndexError):
            yield Path(path).relative_to(tasks).parts[0]


async def _undo_bounded(host: JailHost, directory: TaskDir) -> None:
    _log.warning("undoing what no history knows", directory=str(directory.path))
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _BOUND_S
    while True:
        try:
            await undo(host, directory)
        except (DriverError, OSError, EOFError) as error:
            if loop.time() > deadline_s:
                _log.error(
                    "an orphan is left over", directory=str(directory.path), error=str(error)
                )  # the words are enough
                return
        else:
            return
        await asyncio.sleep(_PAUSE_S)


async def undo(host: JailHost, directory: TaskDir) -> None:
    """Undo one task's traces once, in the order of a teardown; repeatable.

    Raises:
        DriverError, OSError, EOFError: something still holds it; try again.
    """
    root = str(directory.root)
    for jail in await _jails(host, root):
        if not jail.dying:
            await host.kill_processes(jail.jid, "SIGKILL")
    if records.alive(directory.supervisor):
        async with SupervisorClient(directory.socket) as supervisor:
            await supervisor.signal("SIGKILL")
            await supervisor.end()
    for jail in await _jails(host, root):
        await host.remove_rules(jail.name)
        if not jail.dying:
            await host.remove_jail(jail.jid)
    if await _jails(host, root):
        raise DriverError("its jail is still dying")
    for seen in reversed(await host.mounts()):
        if seen.target == root or seen.target.startswith(f"{root}/"):
            await host.unmount(seen)
    if records.alive(directory.supervisor):
        raise DriverError("its supervisor still has processes to reap")
    remove_files(directory)


async def _jails(host: JailHost, root: str) -> list[JailSeen]:
    return [seen for seen in await host.jails(dying=True) if seen.path == root]
