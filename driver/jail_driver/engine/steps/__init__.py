"""Every effect on the host: one handler per kind of step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jail_driver.engine.steps import extras, files, hooks, jail, mounts, network, process, shared
from jail_driver.engine.steps.base import Context, Handler, Launch
from jail_state.core.steps import StepKind

__all__ = ["HANDLERS", "Context", "Handler", "Launch"]

HANDLERS: Final[Mapping[StepKind, Handler]] = {
    StepKind.FILES: files.Files(),
    StepKind.HOOK: hooks.Hook(),
    StepKind.ADDRESS: shared.Address(),
    StepKind.ADDRESS_REMOVE: shared.AddressRemove(),
    StepKind.MOUNT_POINT: shared.MountPoint(),
    StepKind.MOUNT_POINT_REMOVE: shared.MountPointRemove(),
    StepKind.MOUNT: mounts.Mount(),
    StepKind.UNMOUNT: mounts.Unmount(),
    StepKind.RULE: jail.RuleAdd(),
    StepKind.RULES_REMOVE: jail.RulesRemove(),
    StepKind.JAIL: jail.Jail(),
    StepKind.JAIL_REMOVE: jail.JailRemove(),
    StepKind.JAIL_GONE: jail.JailGone(),
    StepKind.CPUS: extras.Cpus(),
    StepKind.DATASET: extras.Dataset(),
    StepKind.DATASET_BACK: extras.DatasetBack(),
    StepKind.EPAIR: network.Epair(),
    StepKind.EPAIR_DESTROY: network.EpairDestroy(),
    StepKind.BRIDGE: network.Bridge(),
    StepKind.INTERFACE: network.Interface(),
    StepKind.INTERFACE_BACK: network.InterfaceBack(),
    StepKind.INSIDE: network.Inside(),
    StepKind.ROUTE: network.Route(),
    StepKind.DEVICE: mounts.Device(),
    StepKind.SUPERVISOR: process.Supervisor(),
    StepKind.SUPERVISOR_END: process.SupervisorEnd(),
    StepKind.MAIN: process.Main(),
    StepKind.MAIN_STOP: process.MainStop(),
    StepKind.PROCESSES_KILL: process.ProcessesKill(),
    StepKind.FILES_REMOVE: files.FilesRemove(),
}
