"""A task's life event by event: lines for people, an event log for programs and for ``replay``."""

from __future__ import annotations

from dataclasses import fields

from jail_state.core.events import Event, Recorded
from jail_state.core.lifecycle import State
from jail_state.dump.choose import Histories, by_time, with_states
from jail_state.dump.text import printable, time_text, value_text
from jail_state.store import log
from jail_state.store.codec import Codec


def events_text(histories: Histories) -> str:
    """Return each task's history for people: time, number, state after it ("?" if unsound), name, fields."""
    parts = []
    for history in by_time(histories):
        lines = [_line(one, state) for one, state in with_states(history)]
        parts.append("\n".join([printable(history[0].stream), *lines, ""]))
    return "\n".join(parts) or "no tasks\n"


def events_json(histories: Histories, codec: Codec | None = None) -> str:
    """Return each task's history as an event log in JSON Lines, with time and state for people.

    ``jail_state.store.log.load`` reads it back.
    """
    writer = codec or Codec()
    return "".join(
        log.line(writer, one, at=time_text(one.at_ns), state=None if state is None else str(state)) + "\n"
        for history in by_time(histories)
        for one, state in with_states(history)
    )


def _line(one: Recorded, state: State | None) -> str:
    shown = "?" if state is None else str(state)
    head = f"{time_text(one.at_ns)}  {one.seq:>4}  {shown:<8}  {one.event.name:<17}"
    return f"{head}  {_fields(one.event)}".rstrip()


def _fields(event: Event) -> str:
    texts = {field.name: value_text(getattr(event, field.name)) for field in fields(event)}
    return "  ".join(f"{name}={text}" for name, text in texts.items() if text)
