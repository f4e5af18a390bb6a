"""How a jail ends: removal at once, dying as long as something holds it, then nothing is left of it."""

import os

from jail_linux import members
from jail_linux.files import remove_file
from jail_linux.registry import Jail, Registry, uptime


def sweep(registry: Registry) -> None:
    """Finish what is due: jails without persist whose last process ended, and dying ones that nothing holds.

    A removal that was killed half way is finished here too. Takes one look at /proc, and only if there is
    such a jail.

    Args:
        registry: Held exclusively.
    """
    jails = {jid: registry.get(jid) for jid in registry.due()}
    for jid, jail in jails.items():
        if jail is None:
            bury(registry, jid)
    due = [jail for jail in jails.values() if jail is not None and (jail.dying or not jail.persist)]
    if not due:
        return
    inside = members.by_namespace()
    for jail in due:
        if not jail.dying:
            if jail.uts not in inside:
                mark(registry, jail)
            else:
                continue
        elif jail.uts in inside:
            members.kill_all(jail.uts)
            continue
        finish(registry, jail)


def is_due(registry: Registry) -> bool:
    """Whether `sweep` has anything to look at; a shared lock is enough to ask."""
    return bool(registry.due())


def mark(registry: Registry, jail: Jail) -> None:
    """Make a jail dying and free its name.

    Args:
        registry: Held exclusively.
        jail: A living jail.
    """
    jail.removed_s = uptime()
    jail.persist = False
    registry.save(jail)
    registry.drop_name(jail)


def remove(registry: Registry, jail: Jail) -> None:
    """Do what jail_remove(2) does: kill everything inside and in the jails below, wait for nothing.

    Args:
        registry: Held exclusively.
        jail: A living jail.
    """
    for child in registry.below(jail):
        remove(registry, child)
    mark(registry, jail)
    members.kill_all(jail.uts)
    if not members.of(jail.uts):
        finish(registry, jail)


def finish(registry: Registry, jail: Jail) -> None:
    """Take a dying jail without processes away, unless its dying time still runs.

    Args:
        registry: Held exclusively.
        jail: A dying jail.
    """
    if jail.removed_s is not None and uptime() - jail.removed_s < registry.settings.dying_s:
        return
    if jail.net:
        from jail_linux import vnet  # netlink is imported only where a jail has a network

        vnet.send_home(f"{registry.folder(jail.jid)}/net")
    if os.path.exists(f"{registry.folder(jail.jid)}/cgroups"):
        from jail_linux import cgroup  # rare, and not worth its import otherwise

        try:
            cgroup.remove(registry, jail)
        except OSError:
            return  # a process is on its way out; the next sweep comes by
    bury(registry, jail.jid)


def bury(registry: Registry, jid: int) -> None:
    """Remove the directory of a jail that is no more, its namespaces with it.

    Args:
        registry: Held exclusively.
        jid: Its number.
    """
    from jail_linux import kernel  # ctypes costs a quarter of a run; most runs bury nothing

    folder = registry.folder(jid)
    for name in ("uts", "net"):
        path = f"{folder}/{name}"
        if os.path.exists(path):
            _detach(kernel.umount, path, kernel.MNT_DETACH)
    for name in ("record", "record.new", "uts", "net", "usage", "usage.new", "cgroups"):
        remove_file(f"{folder}/{name}")
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    registry.drop_links(jid)


def _detach(umount: "object", path: str, flag: int) -> None:
    """Unmount a namespace file; one that is not mounted (any more) is fine."""
    try:
        umount(path, flag)  # type: ignore[operator]
    except OSError:
        pass
