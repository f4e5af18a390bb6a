"""What ifconfig changes: the parameters after an interface's name, in order."""

import errno

from jail_linux import ifclone, interfaces, netlink, vnet
from jail_linux.failure import Failure, error_text
from jail_linux.netlink import Address, Link, Netlink, attribute
from jail_linux.program import out
from jail_linux.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_NAME_MAX = 15
_FULL = {netlink.INET: 32, netlink.INET6: 128}
_ETHER_BYTES = 6
_POINT_TO_POINT = 31  # bits; such a network has no broadcast address
# Words that ask for what Linux does anyway or cannot do; the second entry says how many values follow.
_PASSED = {"group": 1, "-group": 1, "metric": 1, "auto_linklocal": 0, "-auto_linklocal": 0, "-ifdisabled": 0,
           "ifdisabled": 0, "no_dad": 0, "-no_dad": 0, "-link0": 0, "link0": 0, "edge": 1, "private": 1,
           "-lro": 0, "-tso": 0, "-txcsum": 0, "-rxcsum": 0, "-txcsum6": 0, "-rxcsum6": 0}  # fmt: skip


class Change:
    """One run over the parameters of one interface."""

    def __init__(self, settings: "Settings", sockets: Netlink, link: Link) -> None:
        """Start with nothing collected.

        Args:
            settings: Of the tools directory.
            sockets: In the interface's network namespace.
            link: The interface.
        """
        self.settings = settings
        self.sockets = sockets
        self.link = link
        self.family: int | None = None
        self.address: tuple[int, bytes, int | None] | None = None
        self.prefix: int | None = None
        self.broadcast = b""
        self.delete = False
        self.alias = False

    def run(self, words: list[str]) -> None:
        """Follow the parameters, then change the address that they describe, if any.

        Args:
            words: Everything after the interface's name.

        Raises:
            Failure: With ifconfig's words.
            OSError: What the kernel answers to a link change.
        """
        pending = list(words)
        if pending[0] in {"inet", "inet6", "ether", "link", "lladdr"}:
            family = pending.pop(0)
            if family not in {"inet", "inet6"}:
                self._ether(self._value(pending, family))
            self.family = {"inet": netlink.INET, "inet6": netlink.INET6}.get(family)
        while pending:
            word = pending.pop(0)
            action = getattr(self, f"_do_{word.lstrip('-')}", None) if word.isascii() else None
            if word in _PASSED:
                del pending[: _PASSED[word]]
            elif action is not None:
                action(word, pending)
            elif self.address is None:
                self._read_address(word)
            elif interfaces.read_address(word, self.family) is None:
                raise Failure(f"ifconfig: {word}: bad value")
        if self.address is not None:
            self._change_address()

    @staticmethod
    def _value(pending: list[str], word: str) -> str:
        if not pending:
            raise Failure(f"ifconfig: '{word}' requires argument")
        return pending.pop(0)

    def _read_address(self, word: str) -> None:
        self.address = interfaces.read_address(word, self.family)
        if self.address is None:
            raise Failure(f"ifconfig: {word}: bad value")

    def _change_address(self) -> None:
        assert self.address is not None  # noqa: S101  # run() looked
        family, packed, prefix = self.address
        wanted = Address.__new__(Address)
        wanted.index, wanted.family, wanted.packed = self.link.index, family, packed
        wanted.broadcast = self.broadcast
        wanted.prefix = next(
            one for one in (prefix, self.prefix, self._classful(family, packed)) if one is not None
        )
        held = [
            one for one in self.sockets.addresses() if (one.index, one.packed) == (self.link.index, packed)
        ]
        call = "SIOCDIFADDR" if self.delete else "SIOCAIFADDR"
        try:
            if self.delete:
                if not held:
                    raise Failure(f"ifconfig: ioctl ({call}): {error_text(errno.EADDRNOTAVAIL)}")
                interfaces.remove_address(self.sockets, held[0])
                return
            if family == netlink.INET6 and held and held[0].prefix != wanted.prefix:
                raise Failure(f"ifconfig: ioctl ({call}): {error_text(errno.EINVAL)}")  # in6.c
            if (
                family == netlink.INET
                and not self.broadcast
                and wanted.prefix < _POINT_TO_POINT
                and not self.link.flags & 8
            ):
                wanted.broadcast = _broadcast(packed, wanted.prefix)
            interfaces.add_address(self.sockets, wanted)
        except OSError as problem:
            raise Failure(f"ifconfig: ioctl ({call}): {error_text(problem.errno or 0)}") from None
        if not self.link.up and not self.alias:
            self.sockets.set_link(self.link.index, up=True)

    @staticmethod
    def _classful(family: int, packed: bytes) -> int:
        """The mask of an address without one: its old class, as ifconfig guesses, or the whole address."""
        if family == netlink.INET6:
            return _FULL[family] // 2
        first = packed[0]
        return 8 if first < 128 else 16 if first < 192 else 24  # noqa: PLR2004  # address classes

    def _ether(self, text: str) -> None:
        data = bytes(int(part, 16) for part in text.split(":")) if ":" in text else b""
        if len(data) != _ETHER_BYTES:
            raise Failure(f"ifconfig: {text}: bad value")
        self.sockets.set_link(self.link.index, attribute(netlink.IFLA_ADDRESS, data))

    def _do_alias(self, word: str, _: list[str]) -> None:
        self.alias = True
        self.delete = self.delete or word == "-alias"

    def _do_delete(self, _: str, __: list[str]) -> None:
        self.delete = True

    _do_remove = _do_delete

    def _do_add(self, _: str, __: list[str]) -> None:
        self.alias = True

    def _do_netmask(self, word: str, pending: list[str]) -> None:
        text = self._value(pending, word)
        if text.startswith("0x"):
            mask = int(text, 16)
        else:
            read = interfaces.read_address(text, netlink.INET)
            if read is None:
                raise Failure(f"ifconfig: {text}: bad value")
            mask = int.from_bytes(read[1], "big")
        self.prefix = mask.bit_count()

    def _do_prefixlen(self, word: str, pending: list[str]) -> None:
        text = self._value(pending, word)
        if not text.isdigit() or int(text) > _FULL[self.family or netlink.INET6]:
            raise Failure(f"ifconfig: {text}: bad value")
        self.prefix = int(text)

    def _do_broadcast(self, word: str, pending: list[str]) -> None:
        text = self._value(pending, word)
        read = interfaces.read_address(text, netlink.INET)
        if read is None:
            raise Failure(f"ifconfig: {text}: bad value")
        self.broadcast = read[1]

    def _do_up(self, _: str, __: list[str]) -> None:
        self.sockets.set_link(self.link.index, up=True)

    def _do_down(self, _: str, __: list[str]) -> None:
        self.sockets.set_link(self.link.index, up=False)

    def _do_mtu(self, word: str, pending: list[str]) -> None:
        text = self._value(pending, word)
        if not text.isdigit():
            raise Failure(f"ifconfig: {text}: bad value")
        self.sockets.set_link(self.link.index, attribute(netlink.IFLA_MTU, int(text).to_bytes(4, "little")))

    def _do_ether(self, word: str, pending: list[str]) -> None:
        self._ether(self._value(pending, word))

    def _do_description(self, word: str, pending: list[str]) -> None:
        text = "" if word.startswith("-") else self._value(pending, word)
        self.sockets.set_link(self.link.index, attribute(netlink.IFLA_IFALIAS, text.encode()))

    _do_descr = _do_description

    def _do_name(self, word: str, pending: list[str]) -> None:
        text = self._value(pending, word)
        if len(text) > _NAME_MAX:
            raise Failure(f"ifconfig: ioctl SIOCSIFNAME (set name): {error_text(errno.ENAMETOOLONG)}")
        data = attribute(netlink.IFLA_IFNAME, text.encode() + b"\0")
        try:
            try:
                self.sockets.set_link(self.link.index, data)
            except OSError as problem:
                if problem.errno != errno.EBUSY:
                    raise
                self.sockets.set_link(self.link.index, up=False)
                self.sockets.set_link(self.link.index, data)
                self.sockets.set_link(self.link.index, up=True)
        except OSError as problem:
            text = error_text(problem.errno or 0)
            raise Failure(f"ifconfig: ioctl SIOCSIFNAME (set name): {text}") from None
        out(f"{text}\n")

    def _do_destroy(self, _: str, __: list[str]) -> None:
        try:
            self.sockets.delete(self.link.index)
        except OSError:
            raise Failure("ifconfig: SIOCIFDESTROY: Invalid argument") from None

    def _do_addm(self, word: str, pending: list[str]) -> None:
        name = self._value(pending, word)
        member = interfaces.find(self.sockets, name)
        if member is None:
            raise Failure(f"ifconfig: BRDGADD {name}: {error_text(errno.ENOENT)}")
        if member.master == self.link.index:
            raise Failure(f"ifconfig: BRDGADD {name}: {error_text(errno.EEXIST)}")
        if member.master:
            raise Failure(f"ifconfig: BRDGADD {name}: {error_text(errno.EBUSY)}")
        self._join(member, self.link.index, f"BRDGADD {name}")

    def _do_deletem(self, word: str, pending: list[str]) -> None:
        name = self._value(pending, word)
        member = interfaces.find(self.sockets, name)
        if member is None or member.master != self.link.index:
            raise Failure(f"ifconfig: BRDGDEL {name}: {error_text(errno.ENOENT)}")
        self._join(member, 0, f"BRDGDEL {name}")

    def _join(self, member: Link, master: int, call: str) -> None:
        try:
            self.sockets.set_link(member.index, attribute(netlink.IFLA_MASTER, master.to_bytes(4, "little")))
        except OSError as problem:
            raise Failure(f"ifconfig: {call}: {error_text(problem.errno or 0)}") from None

    def _do_vnet(self, word: str, pending: list[str]) -> None:
        key = self._value(pending, word)
        if word == "-vnet":
            ifclone.take_back(self.settings, interfaces.shown(self.link), key)
            return
        with Registry(self.settings, exclusive=True) as registry:
            jail = ifclone.living(registry, key)
            if not jail.net:
                raise Failure(f"ifconfig: SIOCSIFVNET: {error_text(errno.EINVAL)}")
            vnet.give(self.link, f"{registry.folder(jail.jid)}/net", self.sockets)


def _broadcast(packed: bytes, prefix: int) -> bytes:
    host = (1 << (32 - prefix)) - 1
    return (int.from_bytes(packed, "big") | host).to_bytes(4, "big")
