"""Interfaces and addresses as FreeBSD names and shows them."""

import _socket

from jail_linux import netlink
from jail_linux.netlink import Address, Link, Netlink

# (FreeBSD's bit, its word, Linux's bit or 0)
_FLAGS = (
    (0x1, "UP", 0x1),
    (0x2, "BROADCAST", 0x2),
    (0x8, "LOOPBACK", 0x8),
    (0x10, "POINTOPOINT", 0x10),
    (0x40, "RUNNING", 0x40),
    (0x100, "PROMISC", 0x100),
    (0x200, "ALLMULTI", 0x200),
    (0x800, "SIMPLEX", 0),
    (0x8000, "MULTICAST", 0x1000),
    (0x1000000, "LOWER_UP", 0x10000),
)
_MEMBER = "flags=143<LEARNING,DISCOVER,AUTOEDGE,AUTOPTP>"
_MULTICAST = 0x1000
_SITE = b"\xfe\x80"


def shown(link: Link) -> str:
    """FreeBSD's name of an interface: Linux's only loopback is lo0."""
    return "lo0" if link.name == "lo" else link.name


def linux_name(name: str) -> str:
    """Linux's name of an interface that FreeBSD's command line names."""
    return "lo" if name == "lo0" else name


def find(sockets: Netlink, name: str) -> "Link | None":
    """Find an interface by FreeBSD's name."""
    wanted = linux_name(name)
    return next((link for link in sockets.links() if link.name == wanted), None)


def describe(link: Link, links: list[Link], addresses: list[Address]) -> str:
    """Describe one interface in ifconfig's words.

    Args:
        link: Which.
        links: All of its network namespace.
        addresses: All of its network namespace.

    Returns:
        Lines, each ending with a newline.
    """
    lines = [f"{shown(link)}: {_flags(link)} metric 0 mtu {link.mtu}"]
    is_loopback = bool(link.flags & netlink.IFF_LOOPBACK)
    if link.alias and not link.alias.startswith(("lent:", "unit:")):
        lines.append(f"\tdescription: {link.alias}")
    if any(link.ether) and not is_loopback:
        lines.append("\tether " + ":".join(f"{byte:02x}" for byte in link.ether))
    lines += [_address(link, one) for one in addresses if one.index == link.index]
    lines += [f"\tmember: {shown(other)} {_MEMBER}" for other in links if other.master == link.index]
    groups = {"veth": "epair", "bridge": "bridge"}.get(link.kind, "lo" if is_loopback else "")
    if groups:
        lines.append(f"\tgroups: {groups}")
    if link.kind != "bridge" and not is_loopback:
        status = "active" if link.flags & 0x10000 else "no carrier"
        lines += ["\tmedia: Ethernet 10Gbase-T (10Gbase-T <full-duplex>)", f"\tstatus: {status}"]
    options = "21<PERFORMNUD,AUTO_LINKLOCAL>" if is_loopback else "29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>"
    lines.append(f"\tnd6 options={options}")
    return "".join(f"{line}\n" for line in lines)


def _flags(link: Link) -> str:
    linux = link.flags | (_MULTICAST if link.flags & netlink.IFF_LOOPBACK else 0)
    chosen = [
        (bit, word)
        for bit, word, theirs in _FLAGS
        if (linux & theirs if theirs else link.kind in {"veth", "bridge"})
    ]
    number = sum(bit for bit, _ in chosen)
    return f"flags={number:x}<{','.join(word for _, word in chosen)}>"


def _address(link: Link, address: Address) -> str:
    text = _socket.inet_ntop(address.family, address.packed)
    if address.family == netlink.INET:
        mask = (0xFFFFFFFF << (32 - address.prefix)) & 0xFFFFFFFF
        line = f"\tinet {text} netmask 0x{mask:08x}"
        if address.broadcast:
            line += f" broadcast {_socket.inet_ntop(netlink.INET, address.broadcast)}"
        return line
    if address.packed.startswith(_SITE):
        return f"\tinet6 {text}%{shown(link)} prefixlen {address.prefix} scopeid 0x{link.index:x}"
    state = f" {address.state}" if address.state else ""
    return f"\tinet6 {text} prefixlen {address.prefix}{state}"


def read_address(text: str, family: "int | None") -> "tuple[int, bytes, int | None] | None":
    """Read `ADDRESS[/PREFIX]`.

    Args:
        text: The words.
        family: INET or INET6; None takes either.

    Returns:
        Family, address and prefix length (None where the text has none); None if it is no address.
    """
    head, slash, tail = text.partition("/")
    for one, width in ((netlink.INET, 32), (netlink.INET6, 128)):
        if family not in {None, one}:
            continue
        try:
            packed = _socket.inet_pton(one, head.partition("%")[0])
        except (OSError, ValueError):
            continue
        if slash and not (tail.isdigit() and int(tail) <= width):
            return None
        return one, packed, int(tail) if slash else None
    return None


def add_address(sockets: Netlink, address: Address) -> None:
    """Add an address; if the interface has it already, with whatever mask, it is deleted first.

    Raises:
        OSError: What the kernel answers.
    """
    for old in sockets.addresses():
        if (old.index, old.packed) == (address.index, address.packed):
            remove_address(sockets, old)
    sockets.change_address(netlink.NEWADDR, address)


def remove_address(sockets: Netlink, address: Address) -> None:
    """Delete an address and no other: Linux drops the secondary ones of a network with its primary one.

    Raises:
        OSError: What the kernel answers.
    """
    before = [one for one in sockets.addresses() if one.index == address.index]
    sockets.change_address(netlink.DELADDR, address)
    left = {(one.packed, one.prefix) for one in sockets.addresses() if one.index == address.index}
    for one in before:
        if one.packed != address.packed and (one.packed, one.prefix) not in left:
            sockets.change_address(netlink.NEWADDR, one)
