"""rtnetlink(7) without iproute2: links, addresses and routes of one network namespace.

Talking to the kernel directly keeps the stand-ins free of a package that a bare machine may lack, and takes a
tenth of the time of starting `ip`.
"""

import _socket
import os
import struct

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
CREATE, EXCLUSIVE, REPLACE = 0x400, 0x200, 0x100
NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD, IFLA_IFALIAS = (
    1,
    3,
    4,
    10,
    18,
    28,
    20,
)
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_NESTED = 0x8000
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_IFA_F_DADFAILED, _IFA_F_TENTATIVE = 0x08, 0x40
IFF_UP, IFF_LOOPBACK = 1, 8
INET, INET6 = 2, 10
_BUFFER = 1 << 18


def attribute(kind: int, value: bytes) -> bytes:
    """Encode one attribute, padded to four bytes."""
    length = 4 + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (-length % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Decode a row of attributes; of equal kinds the last one stays."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += length + (-length % 4)
    return found


class Link:
    """One interface.

    Attributes:
        index: Its number.
        flags: Linux's IFF_ bits.
        name: Linux's name; `lo` is FreeBSD's lo0, see `interfaces.shown`.
        mtu: Bytes.
        ether: Hardware address, empty where there is none.
        master: Index of the bridge that it is a member of, 0 for none.
        alias: The text of IFLA_IFALIAS.
        kind: Linux's kind ("veth", "bridge"), empty for hardware.
    """

    __slots__ = ("alias", "ether", "flags", "index", "kind", "master", "mtu", "name")

    def __init__(self, payload: bytes) -> None:
        _, _, self.index, self.flags, _ = _LINK.unpack_from(payload)
        found = attributes(payload[_LINK.size :])
        self.name = _text(found.get(IFLA_IFNAME, b""))
        self.mtu = int.from_bytes(found.get(IFLA_MTU, b""), "little")
        self.ether = found.get(IFLA_ADDRESS, b"")
        self.master = int.from_bytes(found.get(IFLA_MASTER, b""), "little")
        self.alias = _text(found.get(IFLA_IFALIAS, b""))
        self.kind = _text(attributes(found.get(IFLA_LINKINFO, b"")).get(_IFLA_INFO_KIND, b""))

    @property
    def up(self) -> bool:
        """Whether it is up."""
        return bool(self.flags & IFF_UP)


class Address:
    """One address of an interface.

    Attributes:
        index: Number of the interface.
        family: INET or INET6.
        packed: The address, 4 or 16 bytes.
        prefix: Length of the network part in bits.
        broadcast: IPv4 broadcast address, may be empty.
        state: What FreeBSD calls an IPv6 address that cannot be used (yet): tentative, duplicated; else empty.
    """

    __slots__ = ("broadcast", "family", "index", "packed", "prefix", "state")

    def __init__(self, payload: bytes) -> None:
        self.family, self.prefix, flags, _, self.index = _ADDRESS.unpack_from(payload)
        found = attributes(payload[_ADDRESS.size :])
        self.packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS, b"")
        self.broadcast = found.get(_IFA_BROADCAST, b"")
        failed, waits = flags & _IFA_F_DADFAILED, flags & _IFA_F_TENTATIVE
        self.state = "duplicated" if failed else "tentative" if waits else ""


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "surrogateescape")


class Netlink:
    """A route socket in the network namespace that the process is in when it is made."""

    def __init__(self) -> None:
        self._socket = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, 0)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, kind: int, flags: int, payload: bytes) -> list[bytes]:
        """Send one request and collect the answers.

        Args:
            kind: Message type.
            flags: NLM_F_ bits besides REQUEST; without DUMP an acknowledgement is asked for.
            payload: The message.

        Returns:
            Payloads of the answers.

        Raises:
            OSError: What the kernel answers.
        """
        self._sequence += 1
        flags |= _REQUEST | (0 if flags & _DUMP == _DUMP else _ACK)
        self._socket.send(_HEADER.pack(_HEADER.size + len(payload), kind, flags, self._sequence, 0) + payload)
        answers: list[bytes] = []
        while True:
            data = self._socket.recv(_BUFFER)
            offset = 0
            while offset < len(data):
                length, answer, _, _, _ = _HEADER.unpack_from(data, offset)
                body = data[offset + _HEADER.size : offset + length]
                offset += length + (-length % 4)
                if answer == _DONE:
                    return answers
                if answer == _ERROR:
                    number = -int.from_bytes(body[:4], "little", signed=True)
                    if number:
                        raise OSError(number, os.strerror(number))
                    return answers
                answers.append(body)

    def links(self) -> list[Link]:
        """List the interfaces by index."""
        found = [Link(body) for body in self.ask(GETLINK, _DUMP, _LINK.pack(0, 0, 0, 0, 0))]
        return sorted(found, key=lambda link: link.index)

    def addresses(self) -> list[Address]:
        """List the addresses of all interfaces."""
        return [Address(body) for body in self.ask(GETADDR, _DUMP, _ADDRESS.pack(0, 0, 0, 0, 0))]

    def change_address(self, kind: int, address: Address) -> None:
        """Add or delete an address.

        Args:
            kind: NEWADDR or DELADDR.
            address: Which, where.

        Raises:
            OSError: What the kernel answers: EEXIST, EADDRNOTAVAIL, EPERM…
        """
        payload = _ADDRESS.pack(address.family, address.prefix, 0, 0, address.index)
        payload += attribute(_IFA_LOCAL, address.packed) + attribute(_IFA_ADDRESS, address.packed)
        if address.broadcast and kind == NEWADDR:
            payload += attribute(_IFA_BROADCAST, address.broadcast)
        self.ask(kind, CREATE | EXCLUSIVE if kind == NEWADDR else 0, payload)

    def set_link(self, index: int, *parts: bytes, up: "bool | None" = None) -> None:
        """Change an interface.

        Args:
            index: Which.
            parts: Attributes to set.
            up: Bring it up or down; None leaves it.

        Raises:
            OSError: What the kernel answers.
        """
        change = 0 if up is None else IFF_UP
        payload = _LINK.pack(0, 0, index, IFF_UP if up else 0, change) + b"".join(parts)
        self.ask(NEWLINK, 0, payload)

    def create(self, kind: str, name: str, peer: str = "", alias: str = "") -> None:
        """Create an interface.

        Args:
            kind: Linux's kind: veth, bridge or dummy.
            name: Its name.
            peer: Name of a veth's other end.
            alias: Text to note on it.

        Raises:
            OSError: What the kernel answers: EEXIST, EPERM, EOPNOTSUPP…
        """
        info = attribute(_IFLA_INFO_KIND, kind.encode() + b"\0")
        if peer:
            other = _LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, peer.encode() + b"\0")
            info += attribute(_IFLA_INFO_DATA | _NESTED, attribute(_VETH_INFO_PEER | _NESTED, other))
        payload = _LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name.encode() + b"\0")
        if alias:
            payload += attribute(IFLA_IFALIAS, alias.encode())
        self.ask(NEWLINK, CREATE | EXCLUSIVE, payload + attribute(IFLA_LINKINFO | _NESTED, info))

    def delete(self, index: int) -> None:
        """Delete an interface.

        Raises:
            OSError: What the kernel answers; EOPNOTSUPP for hardware.
        """
        self.ask(DELLINK, 0, _LINK.pack(0, 0, index, 0, 0))
