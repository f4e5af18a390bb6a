"""From Nomad's decoded ``config`` block to a ``JailConfig``, with every problem named at once."""

from __future__ import annotations

from jail_driver.config.model import (
    AddressWanted,
    Command,
    FstabMount,
    JailConfig,
    KernelFacts,
    RctlRule,
)

__all__ = ["AddressWanted", "Command", "FstabMount", "JailConfig", "KernelFacts", "RctlRule"]
