"""The driver's health, each missing thing with its reason and the way out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jail_driver.errors import DriverError
from jail_driver.model import Attribute, Fingerprint, Health
from jail_driver.version import __version__
from jail_state.store.errors import StoreError

if TYPE_CHECKING:
    from jail_driver.engine.runtime import Runtime

INTERVAL_S = 30.0
_PREFIX = "driver.jail-task-driver"


def unhealthy(reason: str) -> Fingerprint:
    """Return a fingerprint that says why no task can be started now."""
    return Fingerprint(Health.UNHEALTHY, reason, {})


async def take(runtime: Runtime) -> Fingerprint:
    """Look at the host and at ourselves."""
    reasons = []
    if os.geteuid() != 0:
        reasons.append("not root: jails need a plugin that runs as root; run the Nomad agent as root")
    if runtime.journal.trouble is not None:
        try:
            await runtime.journal.probe()
        except StoreError as error:
            reasons.append(str(error))
    attributes: dict[str, Attribute] = {}
    try:
        attributes = await _attributes(runtime)
    except DriverError as error:
        reasons.append(str(error))
    if reasons:
        return Fingerprint(Health.UNHEALTHY, "; ".join(reasons), attributes)
    hooks = "hooks are as the operator allows"
    if runtime.options.policy.hooks_open:
        hooks = "hooks are open: jobs may run commands on this host as root"
    return Fingerprint(Health.HEALTHY, f"ready; {hooks}", attributes)


async def _attributes(runtime: Runtime) -> dict[str, Attribute]:
    host = runtime.host
    leftovers = sum(len(actor.task.leftovers) for actor in runtime.actors.values())
    return {
        _PREFIX: Attribute(value=True),
        f"{_PREFIX}.version": Attribute(__version__),
        f"{_PREFIX}.release": Attribute(await host.release()),
        f"{_PREFIX}.tools": Attribute("freebsd" if runtime.tools.native else "stand-ins"),
        f"{_PREFIX}.racct": Attribute(await host.racct_enabled()),
        f"{_PREFIX}.leftovers": Attribute(leftovers),
    }
