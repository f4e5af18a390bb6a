"""Which boot is this: an opaque name that no two boots share and that stays for the whole boot.

Each name carries its source, so that a source that appears or vanishes is never mistaken for a match.
"""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

KENV_NAME = "jail_task_driver.boot_id"
_LINUX_FILE = Path("/proc/sys/kernel/random/boot_id")
_TIMEOUT_S = 10.0


class BootIdError(OSError):
    """Nothing here says which boot this is; the text says what was tried."""


def boot_id(sysctl: str | None = None, kenv: str | None = None, linux_file: Path = _LINUX_FILE) -> str:
    """Names the current boot.

    FreeBSD's sources come first: under its Linux ABI the file of /proc exists and may say something else
    at each read. A command that is there but does not run is an error, never a reason to try the next
    source: two names for one boot would look like a reboot.

    Args:
        sysctl: absolute path of sysctl(8); ``-b kern.boot_id`` gives 16 opaque bytes.
        kenv: absolute path of kenv(1), for kernels without that sysctl: a variable that we set ourselves
            at first use, and that a reboot forgets.
        linux_file: random(4) of Linux, used where neither command answers.

    Returns:
        ``source:value``.

    Raises:
        BootIdError: no source answers.
        OSError, subprocess.TimeoutExpired: a command could not be run.
    """
    raw = _run(sysctl, "-b", "kern.boot_id") if sysctl else None
    if raw:
        return f"sysctl:{raw.hex()}"
    if kenv:
        name = _from_kenv(kenv)
        if name:
            return f"kenv:{name}"
    return f"proc:{_from_linux(linux_file)}"


def _from_kenv(kenv: str) -> str | None:
    known = _run(kenv, "-q", KENV_NAME)
    if known:
        return known.decode().strip()
    _run(kenv, "-q", f"{KENV_NAME}={uuid.uuid4()}")
    # Read back: two plugins may have set it at once, and the last one counts.
    known = _run(kenv, "-q", KENV_NAME)
    return known.decode().strip() if known else None


def _from_linux(file: Path) -> str:
    try:
        first, second = file.read_text().strip(), file.read_text().strip()
    except OSError as error:
        raise BootIdError(f"no boot id: neither kern.boot_id, nor kenv(1), nor {file} ({error})") from error
    if first != second:
        raise BootIdError(
            f"no boot id: {file} changes at each read, and kern.boot_id and kenv(1) do not answer"
        )
    return first


def _run(*argv: str) -> bytes | None:
    """Returns what a command printed, None if it refused or printed nothing."""
    done = subprocess.run(
        argv, capture_output=True, check=False, timeout=_TIMEOUT_S, env={}, stdin=subprocess.DEVNULL
    )
    return done.stdout if done.returncode == 0 and done.stdout else None
