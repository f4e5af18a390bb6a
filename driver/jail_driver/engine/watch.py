"""Follows a task's supervisor: its exit record becomes an event, its disappearance a loss."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jail_driver import log
from jail_driver.backoff import Backoff
from jail_driver.engine.steps.process import exited_by_kernel, exited_of, reach
from jail_driver.supervisor import records
from jail_driver.supervisor.procid import ProcessId
from jail_driver.supervisor.records import ExitRecord, MainEnd
from jail_state.core import commands as cmd

if TYPE_CHECKING:
    from jail_driver.engine.work import TaskWork

_log = log.get("engine")
_AGAIN_S = 0.2
_AGAIN_MOST_S = 5.0


async def watch_supervisor(work: TaskWork) -> None:
    """Wait for the end of main, over any number of broken connections, and record it.

    Where the supervisor is gone without a record, the kernel may tell main's status; else nobody knows it, and
    that is said, never 0.
    """
    _witness_main(work, alone=False)
    backoff = Backoff(_AGAIN_S, _AGAIN_MOST_S)
    while True:
        try:
            record = await _end_of(work)
            await _conclude(work, record)
        except asyncio.CancelledError:
            raise
        except (EOFError, ConnectionError) as error:
            # Mostly one that is just ending: its socket is closed a moment before its lock.
            _log.debug("cut off from the supervisor", task_id=work.task.id, error=str(error))
        except Exception:  # noqa: BLE001  # logged, and tried again
            # The store may be full: the supervisor's record waits on the disk until it is not.
            _log.exception("cannot record the exit now", task_id=work.task.id)
        else:
            return
        await backoff.pause()


def _witness_main(work: TaskWork, *, alone: bool) -> None:
    main = work.task.main
    if main is not None:
        work.runtime.exits.watch(ProcessId(main.pid, main.started_ticks, main.boot_id), alone=alone)


async def _conclude(work: TaskWork, record: ExitRecord | MainEnd | None) -> None:
    if record is None:
        # Before the teardown ends it: from now on only the kernel can tell.
        _witness_main(work, alone=True)
    exited = exited_of(record) if record is not None else exited_by_kernel(work.context)
    if exited is None:
        await work.apply(cmd.Lose("its supervisor is gone and left no exit record", jail=False))
        return
    evidence = work.runtime.evidence
    exited = await evidence.ask(work.task, exited)
    doubts = evidence.doubt(work.task, exited)
    await work.apply(cmd.RecordExit(exited))
    await work.settle(lambda _task: doubts)


async def _end_of(work: TaskWork) -> ExitRecord | MainEnd | None:
    """Return the supervisor's record once main has ended, None if it is gone and left none.

    Raises:
        EOFError: cut off from a supervisor that lives; ask again.
    """
    directory = work.context.directory
    record: ExitRecord | MainEnd | None = None
    try:
        async with reach(work.context) as supervisor:
            record = await supervisor.wait_exit()
    except (OSError, EOFError):
        if records.alive(directory.supervisor):
            raise
        record = records.read_end(directory.supervisor)
    return record
