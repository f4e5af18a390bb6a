"""From Nomad's decoded ``config`` block to a ``JailConfig``, with every problem named at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping  # signatures are read by the type checker
from typing import Any

from jail_driver.config import policy
from jail_driver.config.keys import BY_NAME
from jail_driver.config.kinds import Fate, MissingParameterError, Problems
from jail_driver.config.model import (
    AddressWanted,
    Command,
    FstabMount,
    JailConfig,
    KernelFacts,
    RctlRule,
)
from jail_driver.config.reader import Reader
from jail_driver.config.together import check_together

__all__ = [
    "AddressWanted",
    "Command",
    "FstabMount",
    "JailConfig",
    "KernelFacts",
    "MissingParameterError",
    "RctlRule",
    "parse_task_config",
    "read_task_config",
]


def parse_task_config(
    config: Mapping[str, Any], kernel: KernelFacts | None = None, allowed: policy.Policy = policy.OPEN
) -> JailConfig:
    """Reads and checks a task's ``config`` block.

    Args:
        config: as Nomad sends it; keys that the job does not set are None or absent.
        kernel: what the running kernel has; None leaves that check out.
        allowed: the operator's policy.

    Returns:
        The configuration; what it names on the host (files, host names) is not looked at: ``settle`` does.

    Raises:
        MissingParameterError: the kernel lacks a parameter: worth asking it again, once.
        ConfigError: anything else; either one names all problems.
    """
    result, problems = read_task_config(config, kernel, allowed)
    problems.raise_if_any()
    return result


def read_task_config(
    config: Mapping[str, Any], kernel: KernelFacts | None = None, allowed: policy.Policy = policy.OPEN
) -> tuple[JailConfig, Problems]:
    """Reads a task's ``config`` block as far as it can be read, so that the rest can be checked all the same.

    Returns:
        The configuration without what is wrong in it, and everything that is.
    """
    problems = Problems()
    reader = Reader(_given(config, problems), kernel, problems)
    result = reader.read()
    check_together(result, reader.given, kernel, problems)
    problems.found += policy.check(result, allowed)
    return result, problems


def _given(config: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Returns the keys that are set, by their right names; refuses and notes the others."""
    given: dict[str, Any] = {}
    for name, value in ((str(name), value) for name, value in config.items()):
        key = BY_NAME.get(name)
        if value is None:
            continue
        if key is None:
            near = difflib.get_close_matches(name, BY_NAME, n=1)
            remedy = f"did you mean {near[0]}?" if near else "see the reference of parameters"
            problems.add(name, value, "is no key of this driver", remedy)
        elif key.fate is Fate.REFUSED:
            problems.add(name, value, "cannot be set", key.instead)
        elif key.fate is Fate.ALIAS and config.get(key.instead) is not None:
            problems.add(
                name, value, f"is another spelling of {key.instead}, which is set too", "keep one of them"
            )
        elif key.fate is Fate.ALIAS:
            problems.notices.append(f"{name} is another spelling of {key.instead}: write that")
            given[key.instead] = value
        else:
            given[name] = value
    return given
