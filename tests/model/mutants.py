"""Planted bugs: mistakes that a driver of this kind can make. The model must catch each of them."""

from __future__ import annotations

from typing import Final

MUTANTS: Final = {
    "effect-first": "the effect comes before its intent is stored",
    "pid-only": "main is signalled by a bare pid",
    "jid-only": "a jail is ours if it has our jid",
    "name-only": "a jail is ours if it has our name",
    "not-ours": "what the host had before is removed too",
    "no-teardown": "recovery gives up without a teardown",
    "no-wait": "the host is observed while the old plugin's command still runs",
    "unmount-early": "mounts go while the jail is still dying",
    "hook-again": "a hook with an unknown outcome is run again",
    "main-again": "a main with an unknown outcome is started again",
    "redo": "a step without an outcome is simply done again",
    "unknown-is-0": "an unknown status is told as 0",
    "boot-ignored": "numbers of the old boot are taken for this one's",
    "no-fsync": "nothing is worth an fsync",
    "journal-knows-best": "an exit record of a start that the power cut took from the journal is ignored",
    "record-ignored": "recovery does not read the supervisor's exit record",
    "files-first": "the files go before the exit record is an event",
}
