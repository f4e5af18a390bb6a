"""Which processes are inside which jail, read from /proc: a jail is a UTS namespace."""

import os
import time

_SIGKILL = 9
_KILL_ROUNDS = 200
_ROUND_S = 0.002


def by_namespace() -> dict[int, list[int]]:
    """List the processes of every UTS namespace.

    A zombie has left its namespaces already, so it is in no jail.

    Returns:
        Inode of the namespace to process ids; under 0 those that may not be asked, which are in no jail of ours.
    """
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name[0].isdigit():
            continue
        try:
            link = os.readlink(f"/proc/{name}/ns/uts")
        except PermissionError:
            found.setdefault(0, []).append(int(name))
            continue
        except OSError:
            continue
        found.setdefault(int(link[5:-1]), []).append(int(name))
    return found


def of(namespace: int) -> list[int]:
    """List the processes of one UTS namespace, by inode."""
    wanted = f"uts:[{namespace}]"
    found = []
    for name in os.listdir("/proc"):
        if not name[0].isdigit():
            continue
        try:
            if os.readlink(f"/proc/{name}/ns/uts") == wanted:
                found.append(int(name))
        except OSError:
            continue
    return found


def signal(processes: list[int], number: int) -> int:
    """Signal processes; those that are gone by now are fine.

    Args:
        processes: Their ids.
        number: The signal.

    Returns:
        How many were signalled.
    """
    count = 0
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue
        count += 1
    return count


def kill_all(namespace: int) -> None:
    """Send SIGKILL until no process of the namespace is left that has not had one.

    A fork may run ahead of one round but not of all: a killed process forks no more. It does not wait for
    the processes to be gone, as jail_remove(2) does not.

    Args:
        namespace: Inode of the UTS namespace.
    """
    killed: set[int] = set()
    for _ in range(_KILL_ROUNDS):
        left = [process for process in of(namespace) if process not in killed]
        if not left:
            return
        signal(left, _SIGKILL)
        killed.update(left)
        time.sleep(_ROUND_S)
