"""The driver's health, each missing thing with its reason and the way out."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from jail_driver import log
from jail_driver.errors import DriverError, UnavailableError
from jail_driver.host.tools import EXTRAS, Tools
from jail_driver.model import Attribute, Fingerprint, Health
from jail_driver.supervisor import procid
from jail_driver.version import __version__
from jail_state.core.lifecycle import State
from jail_state.store.errors import StoreError

if TYPE_CHECKING:
    from jail_driver.engine.runtime import Runtime

_log = log.get("fingerprint")
INTERVAL_S = 30.0
"""Between looks at a healthy host; what the driver itself learns is told at once."""
AGAIN_S = 5.0
"""Between looks while something is wrong, so that it heals soon after its cause."""

_PREFIX = "driver.jail-task-driver"
_OPTIONAL = frozenset({"path_directory", "devd_pipe", *EXTRAS})
_FEATURES = {"vnet": "vnet", "zfs": "allow.mount.zfs", "linux": "linux"}
"""Attributes for constraints, by the jail parameter that a kernel has which can do it."""


def unhealthy(reason: str) -> Fingerprint:
    """Return a fingerprint that says why no task can be started now."""
    return Fingerprint(Health.UNHEALTHY, reason, {})


async def take(runtime: Runtime) -> Fingerprint:
    """Look at the host and at ourselves."""
    reasons = glance(runtime)
    if runtime.journal.trouble is not None:
        try:
            await runtime.journal.probe()
        except StoreError as error:
            reasons.append(str(error))
    attributes: Mapping[str, Attribute] = {}
    try:
        attributes = await _attributes(runtime)
    except DriverError as error:
        reasons.append(str(error))
    if reasons:
        return Fingerprint(Health.UNHEALTHY, "; ".join(reasons), attributes)
    return Fingerprint(Health.HEALTHY, "; ".join(_notes(runtime, attributes)), attributes)


def refusal(runtime: Runtime) -> str:
    """Return why no start can be written down now, empty if it can: it would only have to be torn down again."""
    return "; ".join(_state_dir(runtime.state.root))


def glance(runtime: Runtime) -> list[str]:
    """Return what is wrong as far as it can be seen without running a command."""
    return [*_self(), *_state_dir(runtime.state.root), *_commands(runtime.tools)]


async def changes(
    ready: Callable[[], Awaitable[Runtime]], next_change: Callable[[], asyncio.Event]
) -> AsyncIterator[Fingerprint]:
    """Yield a fingerprint at once, then each that differs from the last.

    Args:
        ready: returns the runtime, or raises UnavailableError where it cannot be had now.
        next_change: returns an event that is set as soon as something happens that is worth a look.
    """
    last: Fingerprint | None = None
    while True:
        runtime, changed = None, next_change()
        try:
            runtime = await ready()
            found = await take(runtime)
        except UnavailableError as error:
            found = unhealthy(str(error))
        except Exception as error:  # noqa: BLE001  # out of memory, of threads: said, and looked at again
            _log.exception("cannot take a fingerprint now")
            found = unhealthy(f"cannot look at the host now: {error!r}")
        if found != last:
            last = found
            yield found
        for _ in range(int(INTERVAL_S / AGAIN_S)):
            # Not wait_for: Python 3.11's loses a cancellation that comes together with the event, and the call of
            # an agent that is gone would count as open for ever (ownership.py).
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await changed.wait()
            if changed.is_set() or runtime is None or found.health is not Health.HEALTHY or glance(runtime):
                break


def _self() -> list[str]:
    if os.geteuid() == 0:
        return []
    return ["not root: jails need a plugin that runs as root; run the Nomad agent as root"]


def _state_dir(path: Path) -> list[str]:
    """Try what a start will need; a read-only or lost file system shows nowhere else before."""
    probe = path / ".probe"
    try:
        probe.touch(0o600)
        probe.unlink()
    except OSError as error:
        return [f'state_dir = "{path}": cannot write there: {error.strerror}']
    return []


def _commands(tools: Tools) -> list[str]:
    programs = (getattr(tools, field.name) for field in fields(tools) if field.name not in _OPTIONAL)
    missing = [program for program in programs if not os.access(program, os.X_OK)]
    return [f"{', '.join(missing)}: missing or not executable"] if missing else []


def _notes(runtime: Runtime, attributes: Mapping[str, Attribute]) -> list[str]:
    hooks = "hooks are as the operator allows"
    if runtime.options.policy.hooks_open:
        hooks = "hooks are open: jobs may run commands on this host as root"
    notes = ["ready", hooks]
    if not attributes[f"{_PREFIX}.racct"].value:
        notes.append(
            "limits (Rctl, resources) do not work: set kern.racct.enable=1 in /boot/loader.conf and reboot"
        )
    if procid.started_ticks(os.getpid()) is None:
        notes.append(
            "start times of processes cannot be read, so that commands which a killed plugin was running are"
            " not ended before their time-out or their task's end: mount linprocfs on /compat/linux/proc"
        )
    leftovers = [task for task in runtime.tasks() if task.leftovers]
    if leftovers:
        notes.append(
            f"{len(leftovers)} stopped tasks have left something behind that is still being removed:"
            " jail-task-driver state-dump names it"
        )
    return notes


async def _attributes(runtime: Runtime) -> dict[str, Attribute]:
    from jail_state.store.tables import REVISION  # noqa: PLC0415  # costs SQLAlchemy; the store has loaded it

    host = runtime.host
    parameters = await host.kernel_parameters()
    tasks = list(runtime.tasks())
    return {
        _PREFIX: Attribute(value=True),
        f"{_PREFIX}.version": Attribute(__version__),
        f"{_PREFIX}.schema": Attribute(REVISION),
        f"{_PREFIX}.release": Attribute(await host.release()),
        f"{_PREFIX}.tools": Attribute("freebsd" if runtime.tools.native else "stand-ins"),
        f"{_PREFIX}.racct": Attribute(await host.racct_enabled()),
        f"{_PREFIX}.parameters": Attribute(len(parameters)),
        **{f"{_PREFIX}.{name}": Attribute(needed in parameters) for name, needed in _FEATURES.items()},
        f"{_PREFIX}.jails": Attribute(len(await host.jails(dying=False))),
        f"{_PREFIX}.tasks": Attribute(sum(task.state is State.RUNNING for task in tasks)),
        f"{_PREFIX}.leftovers": Attribute(sum(len(task.leftovers) for task in tasks)),
    }
