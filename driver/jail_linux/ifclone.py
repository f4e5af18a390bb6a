"""Interfaces that ifconfig makes, and those that it takes out of a jail's network."""

import errno

from jail_linux import interfaces, netlink, vnet
from jail_linux.failure import Failure, error_text
from jail_linux.netlink import Netlink, attribute
from jail_linux.registry import Jail, Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_UNIT = "unit:"
_CLONERS = {"epair": "veth", "bridge": "bridge", "lo": "dummy", "tap": "dummy"}


def create(sockets: Netlink, name: str) -> str:
    """Create an interface: `epair`, `bridge`, `lo`, with a number or without.

    Args:
        sockets: In the network namespace that gets it.
        name: What the command line says.

    Returns:
        The new interface's name; of an epair that of its end a.

    Raises:
        Failure: The name is taken, or there is no such kind.
    """
    kind = name.rstrip("0123456789")
    number = name[len(kind) :]
    if kind not in _CLONERS:
        raise Failure(f"ifconfig: SIOCIFCREATE2 ({name}): Invalid argument")
    taken = {interfaces.shown(link) for link in sockets.links()}
    taken |= {link.alias.removeprefix("lent:").removeprefix(_UNIT) for link in sockets.links()}
    if number and taken & {name, f"{name}a", f"{name}b"}:
        raise Failure(f"ifconfig: interface {name} already exists")
    while not number or taken & {f"{kind}{number}", f"{kind}{number}a", f"{kind}{number}b"}:
        number = str(int(number) + 1 if number else 0)
    made = f"{kind}{number}"
    try:
        if kind != "epair":
            sockets.create(_CLONERS[kind], made)
            return made
        sockets.create("veth", f"{made}b", peer=f"{made}a")  # the peer comes first in lists
    except OSError as problem:
        raise Failure(f"ifconfig: SIOCIFCREATE2 ({name}): {error_text(problem.errno or 0)}") from None
    for end in "ab":
        link = interfaces.find(sockets, made + end)
        if link is not None:
            # The pair keeps its number while either end lives, under whatever name.
            sockets.set_link(link.index, attribute(netlink.IFLA_IFALIAS, f"{_UNIT}{made}".encode()))
    return f"{made}a"


def take_back(settings: "Settings", name: str, key: str) -> None:
    """Take an interface out of a jail's network.

    Args:
        settings: Of the tools directory.
        name: FreeBSD's name of the interface.
        key: Name or number of the jail.

    Raises:
        Failure: No such jail, or the interface is not in it.
    """
    with Registry(settings, exclusive=True) as registry:
        jail = living(registry, key)
        found = False
        if jail.net:
            try:
                found = vnet.take_back(interfaces.linux_name(name), f"{registry.folder(jail.jid)}/net")
            except OSError as problem:
                text = error_text(problem.errno or 0)
                raise Failure(f"ifconfig: SIOCSIFRVNET({jail.jid}, {name}): {text}") from None
    if not found:
        raise Failure(f"ifconfig: SIOCSIFRVNET({jail.jid}, {name}): {error_text(errno.ENXIO)}")


def living(registry: Registry, key: str) -> Jail:
    """Find a living jail by name or number.

    Raises:
        Failure: No such jail, or it is dying.
    """
    jail = registry.named(key)
    label = key if key.isdigit() else f'"{key}"'
    if jail is None:
        raise Failure(f"ifconfig: jail {label} not found")
    if jail.dying:
        raise Failure(f"ifconfig: jail {label} is dying")
    return jail
