"""Following a supervisor: whoever is just ending is asked again, and nobody is alarmed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from jail_driver.engine import watch


class Notes:
    """Stands for the log."""

    def __init__(self) -> None:
        self.levels: list[str] = []

    def debug(self, *_words: object, **_fields: object) -> None:
        """Takes what only a developer wants to know."""
        self.levels.append("debug")

    def exception(self, *_words: object, **_fields: object) -> None:
        """Takes what an operator must see."""
        self.levels.append("error")


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (EOFError("[Errno 32] Broken pipe"), "debug"),
        (BrokenPipeError(), "debug"),
        (OSError("no space"), "error"),
    ],
)
def test_cut_off_and_asked_again(monkeypatch: pytest.MonkeyPatch, error: Exception, level: str) -> None:
    """A supervisor closes its socket a moment before its lock: the record is taken at the next look.

    On a slow machine the moment is long enough to be met (seen on FreeBSD: a broken pipe at a task's end).
    """
    notes, concluded = Notes(), []
    answers: list[Any] = [error, "the record"]

    async def end_of(_work: object) -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def conclude(_work: object, record: object) -> None:
        await asyncio.sleep(0)
        concluded.append(record)

    monkeypatch.setattr(watch, "_log", notes)
    monkeypatch.setattr(watch, "_AGAIN_S", 0.01)
    monkeypatch.setattr(watch, "_end_of", end_of)
    monkeypatch.setattr(watch, "_conclude", conclude)
    work: Any = SimpleNamespace(task=SimpleNamespace(id="a/web/1", main=None))
    asyncio.run(watch.watch_supervisor(work))
    assert (concluded, notes.levels) == (["the record"], [level])
