"""Named points at which a test can kill, fail or delay the real plugin. Nothing happens without the variable.

``JAIL_TASK_DRIVER_FAULTS`` names a JSON file: a list of ``{"point", "step", "do", "nth", "seconds"}``; ``do``
is "kill" (SIGKILL to ourselves), "fail" (the step fails) or "delay". Each entry fires once, at the nth match;
that it fired is noted in a file beside it, so that a restarted plugin does not fire it again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from jail_driver.errors import HostError

VARIABLE = "JAIL_TASK_DRIVER_FAULTS"


class Point(StrEnum):
    """Where in a step."""

    BEFORE_INTENT = "before-intent"
    AFTER_INTENT = "after-intent"
    AFTER_EFFECT = "after-effect"
    AFTER_OUTCOME = "after-outcome"


@dataclass(slots=True)
class Faults:
    """The planned faults of this process; empty in production."""

    plans: list[dict[str, Any]] = field(default_factory=list)
    fired: Path | None = None
    counts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def from_environment(cls) -> Faults:
        """Read the plan that the environment names, if any."""
        name = os.environ.get(VARIABLE)
        if not name:
            return cls()
        path = Path(name)
        fired = path.with_suffix(".fired")
        done = set(fired.read_text().split()) if fired.exists() else set()
        plans = [plan | {"index": index} for index, plan in enumerate(json.loads(path.read_text()))]
        return cls([plan for plan in plans if str(plan["index"]) not in done], fired)

    async def announce(self, point: Point, step: str) -> None:
        """Act on the first plan that matches.

        Raises:
            HostError: the plan says that the step fails.
        """
        for plan in self.plans:
            if plan["point"] != point or plan["step"] not in (step, "*"):
                continue
            index = plan["index"]
            self.counts[index] = self.counts.get(index, 0) + 1
            if self.counts[index] == plan.get("nth", 1):
                await self._act(plan, step)

    async def _act(self, plan: dict[str, Any], step: str) -> None:
        if self.fired is not None:
            with self.fired.open("a") as file:
                file.write(f"{plan['index']}\n")
                file.flush()
                os.fsync(file.fileno())
        match plan["do"]:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "fail":
                raise HostError(step, "failed as planned")
            case "delay":
                await asyncio.sleep(plan["seconds"])
            case unknown:
                raise ValueError(f"{VARIABLE}: {unknown!r} is not kill, fail or delay")
