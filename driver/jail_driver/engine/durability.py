"""Which facts a power cut must not lose: an fsync is paid for these alone.

What a power cut removes by itself (jails, mounts, addresses, processes) needs no fsync for its intent. What
stays on the disk does: the plan with the hooks it owes, hooks (they may have done anything, and run at most
once), mount points made in somebody's Path, and how main ended.
"""

from __future__ import annotations

from jail_state.core import events as ev
from jail_state.core.steps import StepKind
from jail_state.core.task import Task

_ALWAYS = (ev.PreparationBegan, ev.TaskAbandoned, ev.MainExited, ev.TaskRemoved)


def is_durable(event: ev.Event, task: Task | None) -> bool:
    """Whether a commit that holds this event must be on the disk before anything else is done.

    Args:
        event: the fact.
        task: the snapshot before it; None for a stream's first event.
    """
    if isinstance(event, _ALWAYS):
        return True
    if not isinstance(event, ev.StepStarted) or task is None:
        return False
    kind = task.step(event.step).kind
    return kind is StepKind.HOOK or (kind is StepKind.MOUNT_POINT and bool(event.before.get("ours")))
