"""What ``state-dump`` prints: tasks as a table or as JSON, histories event by event. Pure: text out.

Everything comes from the events alone, so it shows what a new plugin would know. A damaged history is
shown as far as it goes. Text of a job's author is escaped before it reaches a terminal.
"""

from jail_state.dump.choose import Histories, cut, select, states
from jail_state.dump.history import events_json, events_text
from jail_state.dump.tasks import SCHEMA_VERSION, tasks_json, tasks_table
from jail_state.dump.text import printable, time_text

__all__ = [
    "SCHEMA_VERSION",
    "Histories",
    "cut",
    "events_json",
    "events_text",
    "printable",
    "select",
    "states",
    "tasks_json",
    "tasks_table",
    "time_text",
]
