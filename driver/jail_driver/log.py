"""Logging: structlog events as hclog JSON lines, to the agent's stderr and to a file in the state directory.

Nothing here raises or blocks. structlog itself is loaded by the first line that is logged, because it costs
more than the handshake. The line's form is hclog's, as go-plugin reads it (log_entry.go): a ``@message`` that
is not text would be a panic in the agent, so every line is made here alone.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import logging
import os
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from jail_driver.logsink import FileSink, PipeSink

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

FILE_NAME = "plugin.log"
NATIVE_FILE_NAME = "stderr.log"
LONGEST_LINE_BYTES = 32 * 1024
"""go-plugin reads lines of up to 64 KiB (client.go); longer ones lose their level and fields."""

LONGEST_FIELD = 4096
LEVELS = {"warning": "warn", "critical": "error", "exception": "error", "fatal": "error"}
"""structlog's names that differ from hclog's."""


class _Output:
    """The sinks of this process; none before ``start``."""

    pipe: PipeSink | None = None
    file: FileSink | None = None
    _lock = threading.Lock()

    def line(self, text: str) -> None:
        """Writes one rendered line everywhere."""
        data = text.encode("ascii", "backslashreplace") + b"\n"
        with self._lock:  # the store's writer is a thread
            if self.pipe is not None:
                self.pipe.write(data)
            if self.file is not None:
                self.file.write(data)

    msg = debug = info = warning = error = critical = exception = log = line


_output = _Output()
_configured = threading.Lock()


class _Lazy:
    """Stands for a structlog logger until the first line."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        import structlog  # noqa: PLC0415  # 60 ms that the handshake does not wait for

        _configure(structlog)
        return getattr(structlog.get_logger(module=self._module), name)


def get(module: str) -> FilteringBoundLogger:
    """Returns the logger of one part of the program; ``module`` becomes hclog's ``@module``."""
    return cast("FilteringBoundLogger", _Lazy(module))


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Adds fields, such as ``task_id``, to every line logged in this context and in tasks made in it."""
    if not fields:
        yield
        return
    import structlog.contextvars  # noqa: PLC0415  # as above

    with structlog.contextvars.bound_contextvars(**fields):
        yield


def start(descriptor: int) -> None:
    """Sends lines to this descriptor, and other libraries' logging, warnings and stray errors with them.

    Args:
        descriptor: owned from now on; normally the agent's stderr.
    """
    _output.pipe = PipeSink(descriptor)
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(logging.WARNING)  # Alembic tells a dozen things at each first use
    sys.excepthook = lambda _kind, error, trace: _stray("uncaught", error.with_traceback(trace))
    sys.unraisablehook = lambda args: _stray(f"unraisable in {args.object!r}", args.exc_value)
    threading.excepthook = lambda args: _stray("uncaught in a thread", args.exc_value)


def attach_file(directory: Path) -> None:
    """Also writes to ``plugin.log`` in this directory, made now with mode 0700; a second call is a move.

    What native code prints to descriptor 2 (gRPC's core, a crash) goes to ``stderr.log`` beside it.
    """
    with suppress(OSError):  # a read-only or full disk: the fingerprint says so, logging goes on without
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _output.pipe is not None:
            _redirect_native(directory / NATIVE_FILE_NAME)
    if _output.file is not None:
        _output.file.close()
    _output.file = FileSink(directory / FILE_NAME)


def _redirect_native(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(2)


def _configure(structlog: Any) -> None:
    with _configured:
        if not structlog.is_configured():
            structlog.configure(
                processors=[structlog.contextvars.merge_contextvars, _render],
                wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
                logger_factory=lambda *_args: _output,
                cache_logger_on_first_use=False,
            )


def _render(_logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    head = {
        "@level": LEVELS.get(method, method),
        "@message": _text(event.pop("event", "")),
        "@module": _text(event.pop("module", "plugin")),
        "@timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }
    if _output.pipe is not None and _output.pipe.dropped:
        event["dropped_lines"] = _output.pipe.dropped
    error = event.pop("exc_info", None)
    if error:
        event["traceback"] = _traceback(error)
    line = json.dumps({key: _plain(value) for key, value in event.items()} | head)
    return line if len(line) < LONGEST_LINE_BYTES else json.dumps(head | {"fields": "left out: too long"})


def _traceback(error: object) -> str:
    current = error if isinstance(error, BaseException) else sys.exc_info()[1]
    return "".join(traceback.format_exception(current))[-LONGEST_FIELD:] if current is not None else ""


def _plain(value: object) -> Any:
    """Returns a JSON value that Go accepts: no NaN, no huge text, nothing that cannot be shown."""
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value[:100]]
    return _text(value)


def _text(value: object) -> str:
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception as error:  # noqa: BLE001  # a broken __str__ must not break the caller
        text = f"<{type(value).__name__}: {type(error).__name__}>"
    return text if len(text) <= LONGEST_FIELD else f"{text[: LONGEST_FIELD - 1]}…"


def _stray(what: str, error: BaseException | None) -> None:
    get("plugin").error(what, error=repr(error), exc_info=error)


class _Bridge(logging.Handler):
    """The standard library's records, as asyncio, gRPC and SQLAlchemy make them."""

    def emit(self, record: logging.LogRecord) -> None:  # type: ignore[explicit-override]  # 3.12 has override
        """Passes one record on."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError):
            return  # gRPC reports each stream that its caller or our end cuts short as an error
        with suppress(Exception):
            get(record.name).log(record.levelno, record.getMessage(), exc_info=error)
