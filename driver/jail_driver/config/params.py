"""The kernel's parameters of a job: from the table's keys and from ``Params`` to arguments of jail(8)."""

from __future__ import annotations

import re
from typing import Any

from jail_driver.config import read
from jail_driver.config.keys import BY_PARAM
from jail_driver.config.kinds import Fate, Key, Kind, Problems
from jail_driver.config.model import KernelFacts

PAIRS_BYTES = 4096 - 1 - 512
"""Most bytes of Meta or Env: the kernel's default limit without its NUL, and without what the driver adds.

Exceeding security.jail.meta_maxbufsize is worse than an error: jail_set(2) leaves a dying jail behind that
never goes (recorded on 15.1).
"""

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)*\Z", re.ASCII)
_PAIR_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,255}\Z", re.ASCII)
_LINUX_RELEASE = re.compile(r"[1-9]\d{0,3}\.\d{1,4}\.\d{1,4}(-.+)?\Z", re.ASCII | re.DOTALL)
"""What linux_map_osrel() of sys/compat/linux/linux_mib.c takes."""
_PSEUDO = ("exec", "mount", "stop", "command", "depend", "interface", "meta", "env")


def negative(param: str) -> str:
    """Returns the word that turns a boolean off.

    >>> negative("allow.mount.zfs")
    'allow.mount.nozfs'
    """
    head, dot, last = param.rpartition(".")
    return f"{head}{dot}no{last}"


def read_param(key: Key, value: Any, kernel: KernelFacts | None, problems: Problems) -> dict[str, str | None]:
    """Reads one key whose value goes to the kernel; empty if nothing is to be sent."""
    if key.kind is Kind.FLAG:
        return _read_flag(key, value, kernel, problems)
    text = _read_value(key, value, problems)
    if text is None:
        return {}
    _check_kernel(key, kernel, problems)
    return {key.param: text}


def _read_flag(key: Key, value: Any, kernel: KernelFacts | None, problems: Problems) -> dict[str, str | None]:
    on = read.flag(key.name, value, problems)
    if on is None:
        return {}
    if kernel is not None and key.param not in kernel.parameters and on == key.default_on:
        return {}  # A kernel without the parameter already does what is asked.
    _check_kernel(key, kernel, problems)
    return {key.param if on else negative(key.param): None}


def _read_value(key: Key, value: Any, problems: Problems) -> str | None:
    if key.kind is Kind.INT:
        found = read.number(key, value, problems)
        return None if found is None else str(found)
    if key.kind is Kind.CHOICE:
        if isinstance(value, str) and value in key.choices:
            return value
        problems.add(key.name, value, "is unknown", f"write one of {', '.join(key.choices)}")
        return None
    if key.kind is Kind.PAIRS:
        return _read_pairs(key, value, problems)
    text = read.text(key.name, value, problems, max_bytes=key.max_bytes)
    if text is not None and key.param == "linux.osrelease" and not _LINUX_RELEASE.match(text):
        problems.add(key.name, value, "is no release of Linux", 'write three numbers, as "5.15.0"')
        return None
    return text


def _read_pairs(key: Key, value: Any, problems: Problems) -> str | None:
    """Reads meta or env: text as it is, or a map that becomes lines of name=value."""
    blocks = None if isinstance(value, str) else read.maps(value)
    if blocks is None:
        return read.text(key.name, value, problems, max_bytes=PAIRS_BYTES)
    lines = []
    for name, item in ((str(name), item) for block in blocks for name, item in block.items()):
        if not _PAIR_NAME.match(name):
            problems.add(key.name, name, "is no name", "use letters, digits and _ . : / -")
            continue
        text = read.text(f"{key.name} {name}", item, problems, max_bytes=PAIRS_BYTES, empty=True)
        if text is not None and "\n" in text:
            problems.add(f"{key.name} {name}", item, "has several lines", "write it on one line")
        lines.append(f"{name}={text}")
    return read.text(key.name, "\n".join(lines), problems, max_bytes=PAIRS_BYTES)


def _check_kernel(key: Key, kernel: KernelFacts | None, problems: Problems) -> None:
    if kernel is None or not key.param or key.param in kernel.parameters:
        return
    reason = f"this kernel{_release(kernel)} has no jail parameter {key.param}"
    if key.module:
        remedy = f"load its module on the host: kldload {key.module}"
        remedy += f" (FreeBSD {key.since} and later)" if key.since else ""
    elif key.since:
        remedy = f"FreeBSD {key.since} brings it: upgrade the host or leave the key out"
    else:
        remedy = "leave the key out, or use a kernel that is built with it"
    problems.lack(key.name, key.param, reason, remedy)


def _release(kernel: KernelFacts) -> str:
    return f" ({kernel.release})" if kernel.release else ""


def read_extra(value: Any, kernel: KernelFacts | None, problems: Problems) -> dict[str, str | None]:
    """Reads ``Params = { "name" = "value" }``: parameters that the table does not know."""
    blocks = read.maps(value)
    if blocks is None:
        problems.add("Params", value, "is not a map", 'write Params = { "name" = "value" }')
        return {}
    found: dict[str, str | None] = {}
    for block in blocks:
        for name, item in block.items():
            found.update(_read_one(str(name), item, kernel, problems))
    return found


def _read_one(name: str, value: Any, kernel: KernelFacts | None, problems: Problems) -> dict[str, str | None]:
    label = f"Params {name}"
    if not _NAME.match(name):
        problems.add(
            "Params", name, "is no name of a jail parameter", "write it as jail(8) does, as allow.mlock"
        )
        return {}
    known = _known(name)
    if known is not None:
        remedy = known.instead if known.fate is Fate.REFUSED else f"write {known.name} = … instead"
        problems.add(label, value, "has a key of its own", remedy)
        return {}
    if name.partition(".")[0] in _PSEUDO:
        problems.add(label, value, "is no parameter of the kernel", "use the key of the table that does it")
        return {}
    if kernel is not None and name not in kernel.parameters and positive(name) not in kernel.parameters:
        problems.lack(
            label,
            name,
            f"this kernel{_release(kernel)} has no such jail parameter",
            "see sysctl -d security.jail.param on the host",
        )
        return {}
    if isinstance(value, bool):
        return {_switched(name, value, kernel): None}
    text = read.text(label, value, problems, max_bytes=4095, empty=True)
    return {} if text is None else {name: text}


def _switched(name: str, on: bool, kernel: KernelFacts | None) -> str:  # noqa: FBT001  # the job's own value
    """Returns the bare word for a boolean that may itself be written in its negative form."""
    is_negative = positive(name) != name and (kernel is None or name not in kernel.parameters)
    if is_negative and not on:
        return positive(name)
    return name if on else negative(name)


def _known(name: str) -> Key | None:
    """Returns the row of a parameter, also of its negative form."""
    return BY_PARAM.get(name) or BY_PARAM.get(positive(name))


def positive(name: str) -> str:
    """Returns the parameter that ``name`` turns off, or ``name`` itself."""
    head, dot, last = name.rpartition(".")
    return f"{head}{dot}{last[2:]}" if last.startswith("no") else name
