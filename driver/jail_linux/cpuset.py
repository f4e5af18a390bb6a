"""cpuset(1): bind the processes of a jail to processors."""

import errno
import os

from jail_linux import members, options
from jail_linux.failure import Failure, error_text
from jail_linux.program import out
from jail_linux.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.registry import Jail
    from jail_linux.settings import Settings

_USAGE = [
    "usage: cpuset [-l cpu-list] [-n policy:domain-list] [-s setid] cmd ...",
    "       cpuset [-l cpu-list] [-n policy:domain-list] [-s setid] -p pid",
    "       cpuset [-l cpu-list] [-n policy:domain-list] -j jailid",
    "       cpuset -g [-cir] [-d domain | -j jailid | -p pid | -t tid | -s setid | -x irq]",
]


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run cpuset.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status.

    Raises:
        Failure: With cpuset's words, status 1.
    """
    found, words = options.parse("cpuset", "Ccd:gij:l:n:p:rs:t:x:", arguments, _USAGE)
    letters = dict(found)
    if "p" in letters and "g" in letters:
        return _show_process(letters["p"])
    if words or "j" not in letters or not letters.keys() & {"g", "l"}:
        raise Failure(*_USAGE)
    key = letters["j"]
    with Registry(settings, exclusive="l" in letters) as registry:
        jail = registry.named(key)
        if jail is None or jail.dying:
            label = key if key.isdigit() else f'"{key}"'
            raise Failure(f"cpuset: jail {label} not found")
        if "l" in letters:
            _bind(registry, jail, letters["l"])
    if "g" in letters:
        cpus = jail.cpus if jail.cpus is not None else _all()
        out(f"jail {jail.jid} mask: {', '.join(map(str, cpus))}\n")
        out(f"jail {jail.jid} domain policy: first-touch mask: 0\n")
    return 0


def _show_process(text: str) -> int:
    try:
        cpus = sorted(os.sched_getaffinity(int(text)))
    except (OSError, ValueError):
        raise Failure(f"cpuset: getaffinity: {error_text(errno.ESRCH)}") from None
    out(f"pid {text} mask: {', '.join(map(str, cpus))}\n")
    out(f"pid {text} domain policy: first-touch mask: 0\n")
    return 0


def _all() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _bind(registry: Registry, jail: "Jail", text: str) -> None:
    cpus = _read(text)
    if not cpus or not set(cpus) <= set(_all()):
        raise Failure(f"cpuset: setaffinity: {error_text(errno.EINVAL)}")
    jail.cpus = cpus
    registry.save(jail)
    for process in members.of(jail.uts):
        try:
            threads = os.listdir(f"/proc/{process}/task")
        except FileNotFoundError:
            continue
        for thread in threads:
            try:
                os.sched_setaffinity(int(thread), cpus)
            except ProcessLookupError:
                continue


def _read(text: str) -> list[int]:
    """Read a list as `0,2-3`; `all` means every processor.

    Raises:
        Failure: It is no such list.
    """
    if text == "all":
        return _all()
    cpus: set[int] = set()
    for part in text.split(","):
        low, dash, high = part.partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            raise Failure(f"cpuset: Malformed list {text}")
        cpus.update(range(int(low), int(high if dash else low) + 1))
    return sorted(cpus)
