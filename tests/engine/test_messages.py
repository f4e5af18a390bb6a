"""What operators are told: an exit status is unknown only once nobody can tell it any more."""

from __future__ import annotations

import core_builders as build
from jail_driver.engine.messages import message_of
from jail_state.core import commands as cmd
from jail_state.core import events as ev
from jail_state.core.decide import decide

GONE = "its supervisor is gone"
REMOVED = ev.TaskRemoved(())


def test_a_status_that_nobody_tells_is_unknown() -> None:
    """Said once, with the end of the teardown."""
    verdict = decide(build.running(), cmd.Lose(GONE, jail=False))
    lost = build.follow(build.running(), *verdict)
    told = [message_of(lost, event) for event in (*verdict, REMOVED)]
    assert told == [None, f"task lost: {GONE}", f"torn down ({GONE}); exit status unknown"]


def test_a_status_that_the_kernel_tells_later_is_not() -> None:
    """FreeBSD's kqueue(2) tells it when main is reaped, after its supervisor was found dead."""
    lost = build.follow(build.running(), *decide(build.running(), cmd.Lose(GONE, jail=False)))
    known = build.follow(lost, *decide(lost, cmd.RecordExit(ev.MainExited(137, 9))))
    assert message_of(known, REMOVED) == f"torn down ({GONE})"
