"""The steps of a start and of its teardown: every effect on the host, by name.

jail(8) only creates and removes the kernel jail. Each address, mount, interface, limit, hook and process
is a step of its own, announced in the journal before it is made and after, so that a crash leaves at most
one step in doubt, and the teardown knows what exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any


class StepKind(StrEnum):
    """What a step does; each kind has one handler in the driver."""

    FILES = "files"
    HOOK = "hook"
    ADDRESS = "address"
    EPAIR = "epair"
    BRIDGE = "bridge"
    MOUNT_POINT = "mount-point"
    MOUNT = "mount"
    DEVICE = "device"
    RULE = "rule"
    JAIL = "jail"
    CPUS = "cpus"
    DATASET = "dataset"
    INTERFACE = "interface"
    INSIDE = "inside"
    ROUTE = "route"
    SUPERVISOR = "supervisor"
    MAIN = "main"

    MAIN_STOP = "main-stop"
    PROCESSES_KILL = "processes-kill"
    SUPERVISOR_END = "supervisor-end"
    DATASET_BACK = "dataset-back"
    INTERFACE_BACK = "interface-back"
    EPAIR_DESTROY = "epair-destroy"
    JAIL_REMOVE = "jail-remove"
    JAIL_GONE = "jail-gone"
    UNMOUNT = "unmount"
    MOUNT_POINT_REMOVE = "mount-point-remove"
    ADDRESS_REMOVE = "address-remove"
    RULES_REMOVE = "rules-remove"
    FILES_REMOVE = "files-remove"


class Phase(IntEnum):
    """The order of a start, as users of jail(8) know it: addresses and mounts exist at exec.prestart."""

    FILES = 0
    PREPARE = 1
    ADDRESS = 2
    MOUNT = 3
    PRESTART = 4
    RULE = 5
    JAIL = 6
    CREATED = 7
    INTERFACE = 8
    MAIN = 9
    POSTSTART = 10
    TEARDOWN = 11


AT_MOST_ONCE = frozenset({StepKind.HOOK, StepKind.MAIN})
"""Never run again when their outcome is unknown: they may have side effects that nobody can observe."""


@dataclass(frozen=True, slots=True)
class Step:
    """One effect on the host.

    Args:
        key: unique within the task, readable: ``mount /alloc``, ``exec.prestart[0]``.
        kind: which handler performs it.
        phase: where in the order of a start it stands.
        args: what the handler needs; no secret, no hook text (those stand in the task's private file).
        undoes: for a teardown step, the key of the step that it unmakes.
    """

    key: str
    kind: StepKind
    phase: Phase = Phase.TEARDOWN
    args: Mapping[str, Any] = field(default_factory=dict)
    undoes: str | None = None


class Progress(StrEnum):
    """How far a step is."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What the journal says of one step; a step without a record was never begun."""

    progress: Progress
    before: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    started_at_ns: int = 0
    ended_at_ns: int = 0


# What has no entry here goes with something else: a bridge's member and the addresses and routes inside with
# the pair or the jail's network, a device file with its devfs.
_UNDO = {
    StepKind.ADDRESS: StepKind.ADDRESS_REMOVE,
    StepKind.MOUNT_POINT: StepKind.MOUNT_POINT_REMOVE,
    StepKind.MOUNT: StepKind.UNMOUNT,
    StepKind.DATASET: StepKind.DATASET_BACK,
    StepKind.INTERFACE: StepKind.INTERFACE_BACK,
    StepKind.EPAIR: StepKind.EPAIR_DESTROY,
}


def hook_steps(hook: str, count: int, phase: Phase) -> tuple[Step, ...]:
    """Return the steps of one hook's commands: ``exec.prestart[0]``, ``exec.prestart[1]`` and so on."""
    return tuple(
        Step(f"{hook}[{index}]", StepKind.HOOK, phase, {"hook": hook, "index": index})
        for index in range(count)
    )


def teardown_of(steps: tuple[Step, ...], hooks: Mapping[str, int]) -> tuple[Step, ...]:
    """Return the whole way down for a way up, in its order (design: "down").

    Args:
        steps: the way up.
        hooks: how many commands each down hook has, by jail(8)'s name.
    """

    def down(hook: str) -> tuple[Step, ...]:
        return hook_steps(hook, hooks.get(hook, 0), Phase.TEARDOWN)

    def undo(*kinds: StepKind) -> tuple[Step, ...]:
        return tuple(
            Step(f"{_UNDO[step.kind]} {step.key}", _UNDO[step.kind], args=step.args, undoes=step.key)
            for step in reversed(steps)
            if step.kind in kinds
        )

    def once(kind: StepKind, undoes: StepKind) -> tuple[Step, ...]:
        made = [step for step in steps if step.kind is undoes]
        return (Step(kind.value, kind, undoes=made[0].key),) if made else ()

    return (
        *down("exec.prestop"),
        *down("exec.stop"),
        *once(StepKind.MAIN_STOP, StepKind.SUPERVISOR),
        *once(StepKind.PROCESSES_KILL, StepKind.JAIL),
        *once(StepKind.SUPERVISOR_END, StepKind.SUPERVISOR),
        *undo(StepKind.INTERFACE, StepKind.DATASET),
        *undo(StepKind.EPAIR),
        *once(StepKind.JAIL_REMOVE, StepKind.JAIL),
        *once(StepKind.JAIL_GONE, StepKind.JAIL),
        *down("exec.poststop"),
        *undo(StepKind.MOUNT, StepKind.MOUNT_POINT),
        *undo(StepKind.ADDRESS),
        *down("exec.release"),
        *once(StepKind.RULES_REMOVE, StepKind.RULE),
        Step(StepKind.FILES_REMOVE.value, StepKind.FILES_REMOVE),
    )
