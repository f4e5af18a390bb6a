"""The plugin's own options: what the operator writes into ``plugin "jail-task-driver" { config { … } }``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PluginOptions:
    """The operator's choices, in seconds where the name ends in ``_s``.

    Args:
        state_dir: absolute directory of the driver's state.
        jail_tools: ``auto``, ``freebsd``, ``linux`` or an absolute directory.
        kill_signal: sent to main on every way into prestop but StopTask, as ``SIGTERM``.
        kill_timeout_s: grace after that signal.
        teardown_deadline_s: how long prestop may take after grace and hooks, before leftovers are named.
        hook_timeout_s: limit of each hook where the task sets no Exec_timeout; 0: none.
        retain_s: how long a destroyed task's history is kept.
        recovery_wait_s: how long a half-started task waits for Nomad's repeated StartTask.
    """

    state_dir: str
    jail_tools: str = "auto"
    kill_signal: str = "SIGTERM"
    kill_timeout_s: float = 5.0
    teardown_deadline_s: float = 300.0
    hook_timeout_s: float = 300.0
    retain_s: float = 72 * 3600.0
    recovery_wait_s: float = 30.0
