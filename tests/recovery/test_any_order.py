"""RPCs in any order, kills in between: the whole plugin against a small model of what Nomad may expect."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import Handle, HandleState, TaskSpec

EXAMPLES = int(os.environ.get("SWEEP_EXAMPLES", "1"))
"""How many courses are tried; ``make sweep`` asks for 20."""
pytestmark = [rig.needs_root, pytest.mark.timeout(300 + 30 * EXAMPLES)]


class Expected:
    """A task as Nomad knows it.

    Args:
        spec: what was asked for.
        code: what main ends with, once it is told to.
        handle: what StartTask gave.
    """

    def __init__(self, spec: TaskSpec, code: int, handle: Handle) -> None:
        self.spec = spec
        self.code = code
        self.handle = handle
        self.ended = False
        """Whether main was told to end, or the task to stop."""
        self.destroyed = False


class AnyOrder(RuleBasedStateMachine):
    """Nomad, without its good manners."""

    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.host = rig.Host()
        self.before = self.host.snapshot()
        self.known: list[Expected] = []
        self.plugin = self.runner.run(rig.launch(self.host))

    def teardown(self) -> None:
        """Destroy everything, and look for what is left."""
        try:
            for expected in self.known:
                self.runner.run(self.plugin.client.destroy(expected.spec.id, force=True))
            self.runner.run(self.plugin.client.shutdown())
            self.runner.run(self.plugin.process.end())
            self.runner.run(self.plugin.client.close())
            self.host.wait_clean(self.before)
        finally:
            self.runner.close()
            self.host.close()

    @rule(target=tasks, code=st.integers(0, 9))
    def start(self, code: int) -> Expected:
        """A task that waits until it may end."""
        loop = f"{rig.UNTIL_TOLD}; exit {code}"
        spec = self.host.spec({"Exec_start": f"trap 'exit {code}' TERM; echo run >> /alloc/runs; {loop}"})
        started = self.runner.run(self.plugin.start(spec))
        self.known.append(Expected(spec, code, started.handle))
        self.runner.run(rig.until("main is inside", Path(spec.alloc_dir, "alloc/runs").exists))
        return self.known[-1]

    @rule(expected=tasks)
    def start_again(self, expected: Expected) -> None:
        """The same id again: joined while it lives, refused once it is over; never a second main."""
        try:
            self.runner.run(self.plugin.start(expected.spec))
        except PluginError:
            assert expected.ended

    @rule(expected=tasks)
    def end(self, expected: Expected) -> None:
        """Main ends by itself."""
        Path(expected.spec.alloc_dir, "alloc/end").touch()
        expected.ended = True

    @rule(expected=tasks)
    def stop(self, expected: Expected) -> None:
        """Fine for living, ended and destroyed ones."""
        self.runner.run(self.plugin.client.stop(expected.spec.id, timeout_s=10.0))
        expected.ended = True

    @rule(expected=tasks)
    def wait(self, expected: Expected) -> None:
        """The code that main chose, as often as it is asked for."""
        if expected.ended and not expected.destroyed:
            result = self.runner.run(asyncio.wait_for(self.plugin.client.wait(expected.spec.id), 40))
            assert (result.exit_code, result.signal, result.error) == (expected.code, 0, "")

    @rule(expected=tasks)
    def recover(self, expected: Expected) -> None:
        """Fine for all but destroyed ones."""
        if not expected.destroyed:
            self.runner.run(self.plugin.client.recover(expected.handle))

    @rule(expected=consumes(tasks))
    def destroy(self, expected: Expected) -> None:
        """With force, whatever it is doing."""
        self.runner.run(self.plugin.client.destroy(expected.spec.id, force=True))
        expected.ended = expected.destroyed = True

    @rule()
    def kill(self) -> None:
        """The plugin dies; the next one takes over."""
        self.runner.run(self.plugin.kill())
        self.plugin = self.runner.run(rig.launch(self.host))
        for expected in self.known:
            if not expected.destroyed:
                self.runner.run(self.plugin.client.recover(expected.handle))

    @invariant()
    def one_main(self) -> None:
        """No task ever ran twice; a living one is told as living."""
        for expected in self.known:
            assert Path(expected.spec.alloc_dir, "alloc/runs").read_text() == "run\n"
            if not expected.ended:
                status = self.runner.run(self.plugin.client.inspect(expected.spec.id))
                assert status.state is HandleState.RUNNING


def test_any_order() -> None:
    """Whatever Nomad asks, in whatever order, over whatever deaths."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        AnyOrder,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=7,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
