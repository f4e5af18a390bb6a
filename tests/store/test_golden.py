"""Old logs stay readable: a line for each event type and version that was ever written."""

import json

import pytest

from jail_state.core.events import EVENT_TYPES
from jail_state.store import log
from jail_state.store.codec import UPCASTERS, Codec
from store import golden_log

LINES = [text for _, text in golden_log.lines()]
KNOWN = {(found["name"], found["version"]): text for text in LINES for found in [json.loads(text)]}


@pytest.mark.parametrize("event", EVENT_TYPES.values(), ids=lambda event: event.name)
def test_every_event_type_has_a_line_that_it_still_writes(event: type) -> None:
    """A field added, removed, renamed or of another type needs a new version and an upcaster."""
    known = KNOWN.get((event.name, event.version))  # type: ignore[attr-defined]
    assert known is not None, "run python tests/store/golden_log.py"
    assert json.loads(golden_log.line(event)) == json.loads(known)


@pytest.mark.parametrize("text", LINES, ids=lambda text: json.loads(text)["stream"])
def test_every_line_can_be_read(text: str) -> None:
    """Of every version, lifted to the present one."""
    ((recorded,),) = log.load(Codec(), [text], "golden").values()
    assert recorded.event.version == EVENT_TYPES[recorded.event.name].version


def test_every_upcaster_has_a_line() -> None:
    """An upcaster that is never run is a guess."""
    assert set(UPCASTERS) <= set(KNOWN)
