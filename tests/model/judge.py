"""What must hold of a world, whatever happened to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jail_state.core.lifecycle import State
from jail_state.core.steps import Progress
from model.world import HOST_POINT, PATH, World

RULES = 27
"""How many rules there are, for the figures."""


def always(w: World) -> Iterator[str]:
    """Yield the rules that are broken, of those that hold at every moment."""
    truth = w.truth
    yield from truth.faults
    if truth.mains > 1:
        yield f"main was started {truth.mains} times"
    for hook, times in Counter(truth.hooks).items():
        if times > 1:
            yield f"{hook} ran {times} times"
    if "foreign" in truth.hits:
        yield "a signal reached somebody else's process"
    if any(path != PATH for path in truth.removed):
        yield "somebody else's jail was removed"


def at_the_end(w: World) -> Iterator[str]:
    """Yield the rules that are broken once the driver has nothing left to do."""
    yield from always(w)
    task = w.task
    if task is None:
        yield from _nothing_left(w, ())
        return
    if task.state is not State.STOPPED:
        yield f"the task is {task.state} and nobody does anything about it"
        return
    if task.leftovers:
        yield f"left over: {task.leftovers}"
    doubted = tuple(key for key, one in task.records.items() if one.progress is Progress.UNKNOWN)
    yield from _nothing_left(w, doubted)
    yield from _status(w)
    yield from _hooks_paired(w)


def _nothing_left(w: World, doubted: tuple[str, ...]) -> Iterator[str]:
    if any(jail.path == PATH for jail in w.jails):
        yield "our jail is left"
    for what, left in (("mounts", w.mounts), ("addresses", w.addresses - w.theirs), ("rules", w.rules)):
        if left:
            yield f"{what} are left: {left}"
    if w.theirs - w.addresses:
        yield "an address that the host had is gone"
    if HOST_POINT not in w.disk:
        yield "a mount point that was there before is gone"
    if w.main is not None or w.supervisor:
        yield "main or its supervisor is left"
    files = w.disk - {HOST_POINT}
    if "exec.release[0]" in doubted:
        files -= {"conf"}  # said in the journal: nobody can know whether it ran
    if files:
        yield f"files are left: {sorted(files)}"
    if w.epair and "exec.poststop[0]" not in doubted:
        yield "the interface that exec.prestart made is left"


def _status(w: World) -> Iterator[str]:
    truth = w.truth
    for code, error in truth.told:
        if truth.status is not None and not error and code != truth.status:
            yield f"WaitTask said {code}, main ended with {truth.status}"
        if truth.status is not None and error:
            yield f"WaitTask said '{error}', but the supervisor knew {truth.status}"
        if truth.status is None and (code == 0 or not error):
            yield f"WaitTask said {code} '{error}' and nobody knows the status"
    if len(set(truth.told)) > 1:
        yield f"WaitTask changed its mind: {truth.told}"


def _hooks_paired(w: World) -> Iterator[str]:
    """Whatever was prepared is released: the undoing hooks ran, or their outcome is said to be unknown."""
    task = w.task
    if task is None:
        return
    for up, down in (("exec.prestart[0]", "exec.poststop[0]"), ("exec.prepare[0]", "exec.release[0]")):
        if up in w.truth.hooks and down not in w.truth.hooks and task.progress(down) is not Progress.UNKNOWN:
            yield f"{up} ran and {down} did not"
