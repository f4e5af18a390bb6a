"""Which schedules the process sweep carries out: every step at every point, and kills upon kills."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

from sweep.schedule import Kill, Schedule

POINTS = ("before-intent", "after-intent", "after-effect", "after-outcome")
UP = (
    *("files", "exec.prepare[0]", "address em1|192.168.1.102", "mount /", "mount-point /dev", "mount /dev"),
    *("mount-point /alloc", "mount /alloc", "mount /local", "mount /secrets", "exec.prestart[0]"),
    *("rule *", "jail", "exec.created[0]", "supervisor", "main", "exec.poststart[0]"),
)
DOWN = (
    *("exec.prestop[0]", "exec.stop[0]", "main-stop", "processes-kill", "supervisor-end", "jail-remove"),
    *("jail-gone", "exec.poststop[0]", "unmount mount /alloc", "mount-point-remove mount-point /alloc"),
    *("unmount mount /", "address-remove address em1|192.168.1.102", "exec.release[0]", "rules-remove"),
    "files-remove",
)
VNET = ("exec.prestart[0]", "interface epair9b", "interface-back interface epair9b", "exec.poststop[0]")
HELD = (
    *(("ifconfig", "alias"), ("mount", "nullfs"), ("mount", "devfs"), ("rctl", "-a"), ("jail", "-c")),
    *(("pkill", "-j"), ("jail", "-R"), ("umount", ""), ("ifconfig", "-alias"), ("rctl", "-r"), ("jexec", "")),
)
HELD_VNET = (("ifconfig", "create"), ("ifconfig", " vnet"), ("ifconfig", "-vnet"), ("ifconfig", "destroy"))
AGAIN = (
    Kill("before-intent", "recovery"),
    Kill("after-outcome", "recovery"),
    *(Kill(point, "*", nth) for point in POINTS for nth in (1, 2, 5)),
)
OTHERS = (
    *(("helper", point, step) for point in POINTS for step in ("supervisor", "main", "exec.poststart[0]")),
    *(("supervisor", point, step) for point in ("after-effect", "after-outcome") for step in UP[-3:]),
    *(("supervisor", "after-intent", step) for step in (*UP[-2:], *DOWN[:7])),
)


def singles() -> Iterator[Schedule]:
    """Yield every step at every point, once."""
    for step, point in product(UP, POINTS):
        yield Schedule((Kill(point, step),), repeats=True)
        yield Schedule((Kill(point, step),), repeats=False)
    for step, point in product(DOWN, POINTS):
        yield Schedule((Kill(point, step),), course="stop")
    for step, point in product(VNET, POINTS):
        yield Schedule((Kill(point, step),), vnet=True)
    for command in HELD:
        yield Schedule((Kill("during", "*", command=command),), course="stop")
        yield Schedule((Kill("during", "*", command=command),), course="stop", repeats=False)
    for command in HELD_VNET:
        yield Schedule((Kill("during", "*", command=command),), vnet=True)


def others() -> Iterator[Schedule]:
    """Yield the schedules that kill the fork helper or the supervisor."""
    for victim, point, step in OTHERS:
        yield Schedule((Kill(point, step, victim=victim),), course="stop")


def again(count: int, seed: int = 6) -> Iterator[Schedule]:
    """Yield ``count`` schedules with one or two more kills, the first of them during recovery; always the same."""
    chance = random.Random(seed)  # noqa: S311  # a repeatable choice, no secret
    first = [schedule for schedule in singles() if schedule.kills[0].point != "during"]
    for _ in range(count):
        base = chance.choice(first)
        more = tuple(chance.choice(AGAIN) for _ in range(chance.randint(1, 2)))
        # Force skips the first steps of a teardown, so a kill there needs the course that it was made for.
        course = base.course if base.course == "stop" else chance.choice(("exit", "stop", "destroy"))
        yield Schedule((*base.kills, *more), course, base.repeats, base.vnet)


SAMPLE = (
    Schedule(course="destroy"),
    Schedule((Kill("after-effect", "mount-point /alloc"),), repeats=False),
    Schedule((Kill("after-effect", "rule *"), Kill("before-intent", "recovery")), repeats=False),
    Schedule((Kill("during", "*", command=("jail", "-c")),), course="stop"),
    Schedule((Kill("after-intent", "main"), Kill("after-outcome", "recovery")), course="stop"),
    Schedule((Kill("after-intent", "jail-remove"), Kill("after-effect", "*", 2)), course="stop"),
    Schedule((Kill("after-effect", "interface epair9b"),), vnet=True),
    Schedule((Kill("after-intent", "exec.poststop[0]"),), vnet=True),
    Schedule((Kill("after-outcome", "main", victim="supervisor"),), course="stop"),
    Schedule((Kill("before-intent", "supervisor", victim="helper"),)),
)
"""The few that every test run carries out."""
