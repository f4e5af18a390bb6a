"""A jail's own network: entering it, giving interfaces to it and taking them back.

An interface from outside carries a mark in its alias while it is inside: when the jail goes, the marked ones
go back to the host and the others are destroyed with the network, as on FreeBSD. The kernel would destroy
them all.
"""

import errno
import os

from jail_linux import helper, kernel, netlink
from jail_linux.netlink import IFLA_IFALIAS, IFLA_NET_NS_FD, Link, Netlink, attribute

_LENT = "lent:"


def enter(namespace: str) -> None:
    """Go into a jail's network for the rest of this process.

    Args:
        namespace: File of the jail's network namespace.

    Raises:
        OSError: What the kernel answers.
    """
    inside = os.open(namespace, os.O_RDONLY)
    kernel.setns(inside, kernel.CLONE_NEWNET)
    os.close(inside)


def give(link: Link, namespace: str, sockets: Netlink) -> None:
    """Move an interface into a jail's network.

    Args:
        link: The interface.
        namespace: File of the jail's network namespace.
        sockets: A socket in the namespace where the interface is.

    Raises:
        OSError: What the kernel answers.
    """
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        alias = link.alias if link.alias.startswith(_LENT) else _LENT + link.alias
        sockets.set_link(link.index, attribute(IFLA_IFALIAS, alias.encode()))
        sockets.set_link(link.index, attribute(IFLA_NET_NS_FD, descriptor.to_bytes(4, "little")))
    finally:
        os.close(descriptor)


def take_back(name: str, namespace: str) -> bool:
    """Move one interface from a jail's network to the network that this process is in.

    Args:
        name: Linux's name of it, inside.
        namespace: File of the jail's network namespace.

    Returns:
        Whether there was such an interface.

    Raises:
        OSError: What the kernel answers; EEXIST where the name is taken outside.
    """
    home = os.open("/proc/self/ns/net", os.O_RDONLY)

    def act() -> None:
        sockets = Netlink()
        found = [link for link in sockets.links() if link.name == name]
        for link in found:
            _move(sockets, link, home)
        if not found:
            raise OSError(errno.ENXIO, name)

    number = helper.in_namespace(namespace, act)
    os.close(home)
    if number and number != errno.ENXIO:
        raise OSError(number, os.strerror(number))
    return number == 0


def send_home(namespace: str) -> None:
    """Before a jail's network goes: send what came from outside back, leave the rest to the kernel.

    Args:
        namespace: File of the jail's network namespace; if it is gone there is nothing to do.
    """
    if not os.path.exists(namespace):
        return
    home = os.open("/proc/self/ns/net", os.O_RDONLY)

    def act() -> None:
        sockets = Netlink()
        for link in sockets.links():
            if link.alias.startswith(_LENT):
                _move(sockets, link, home)

    helper.in_namespace(namespace, act)
    os.close(home)


def _move(sockets: Netlink, link: Link, home: int) -> None:
    sockets.set_link(link.index, up=False)
    sockets.set_link(link.index, attribute(netlink.IFLA_IFALIAS, link.alias.removeprefix(_LENT).encode()))
    sockets.set_link(link.index, attribute(IFLA_NET_NS_FD, home.to_bytes(4, "little")))
