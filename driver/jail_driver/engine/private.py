"""What a task's teardown owes, verbatim: one 0600 file per task, gone when it stops.

Hooks and parameters may carry secrets that the job interpolated, so they are no events; but Nomad may have
no handle to take them from after a crash, so they must be on disk before the first effect.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from jail_driver.config.model import Command
from jail_driver.errors import DriverError

_PASSING: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR}
"""What says nothing of the file: the next try may read it."""


class DamagedError(DriverError):
    """The file is there and cannot be read; nothing will make it readable but a hand."""


@dataclass(frozen=True, slots=True)
class Private:
    """The part of a plan that no event may hold.

    Args:
        hooks: commands by hook name.
        params: the kernel parameters of ``jail -c``; None is a bare word.
        start: the commands that run inside; the last is main.
        hook_timeout_s: limit of each hook, 0 for none.
        consolelog: host path that gets main's and exec.stop's output too.
        user: who main runs as, as Nomad or the job named it; empty for root.
        system_jail_user: look that user up on the host.
        system_user: who host hooks run as; empty for root.
        fib: routing table of what runs inside; None for the driver's own.
        work_dir: where the commands inside start; empty for ``/``.
        secrets: values to redact from hook output.
    """

    hooks: Mapping[str, tuple[Command, ...]]
    params: Mapping[str, str | None]
    start: tuple[Command, ...]
    hook_timeout_s: float = 0.0
    consolelog: str = ""
    user: str = ""
    system_jail_user: bool = False
    system_user: str = ""
    fib: int | None = None
    work_dir: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)


def write(path: Path, private: Private) -> None:
    """Write durably: temporary file, fsync, rename, fsync of the directory.

    Raises:
        OSError: the disk refused; the old file, if any, stands.
    """
    text = json.dumps(asdict(private), ensure_ascii=True)
    temporary = path.with_suffix(".tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _commands(raw: list[dict[str, Any]]) -> tuple[Command, ...]:
    return tuple(Command(one["text"], tuple(one["argv"]), bool(one["background"])) for one in raw)


def read(path: Path) -> Private | None:
    """Read the file; None if it is gone.

    Raises:
        DamagedError: it is there and cannot be read.
        OSError: it cannot be read now.
    """
    try:
        return _parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in _PASSING:
            raise
        raise DamagedError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # Not the error's own words: they may quote the file, which holds secrets.
        raise DamagedError(f"{path} is damaged ({type(error).__name__})") from None


def _parse(text: bytes) -> Private:
    raw = json.loads(text)
    raw["hooks"] = {name: _commands(commands) for name, commands in raw["hooks"].items()}
    raw["start"] = _commands(raw["start"])
    raw["secrets"] = tuple(raw["secrets"])
    return Private(**raw)
