"""``serve``: what Nomad launches."""

from __future__ import annotations

from typing import NoReturn


def execute() -> NoReturn:
    """Serves until Nomad says Shutdown; without Nomad's cookie explains itself on stderr and ends with 1."""
    from jail_driver import compose  # noqa: PLC0415  # the command line must not load gRPC

    compose.serve()
