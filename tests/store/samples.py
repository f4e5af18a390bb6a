"""What the tests of the store share: events to be stored, settings to be read."""

from jail_state.core.events import NoticeGiven, TaskPlanned
from jail_state.core.steps import Phase, Step, StepKind
from jail_state.store import engine
from jail_state.store.port import Append
from jail_state.store.sqlite import SqliteStore

PLAN = TaskPlanned(
    alloc_id="a",
    task_name="wéb",
    job_id="j",
    namespace="default",
    jail_name="web-0",
    directory="/var/db/x/t/0",
    alloc_dir="/alloc",
    steps=(Step("jail", StepKind.JAIL, Phase.JAIL, {"path": "/x", "list": ("a", None, 1.5, {"k": True})}),),
    teardown=(Step("jail-remove", StepKind.JAIL_REMOVE, undoes="jail"),),
    boot_id="b",
    stop_signal="SIGTERM",
    stop_timeout_s=5,
    ports={"http": 80},
)


def add(
    stream: str, expected: int, *texts: str, at_ns: int = 1, durable: bool = False, closes: bool = False
) -> Append:
    """Make an append of one notice a text."""
    events = tuple(NoticeGiven(text) for text in texts)
    return Append(stream, expected, events, at_ns=at_ns, durable=durable, closes=closes)


def setting(store: SqliteStore, pragma: str) -> object:
    """Read a pragma of the store's own connection."""
    assert store._connection is not None
    return engine.pragma(store._connection, pragma)
