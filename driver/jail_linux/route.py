"""route(8): add, delete, change and look up routes, the default one above all."""

import _socket
import errno
import struct

from jail_linux import interfaces, netlink, options
from jail_linux.failure import Failure, error_text
from jail_linux.netlink import Netlink, attribute
from jail_linux.program import out, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_USAGE = ["usage: route [-j jail] [-46dnqtv] command [[modifiers] args]"]
_MESSAGE = struct.Struct("=BBBBBBBBI")
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_UNIVERSE, _SCOPE_LINK, _UNICAST = 254, 4, 0, 253, 1
_FLAGS = {"add": netlink.CREATE | netlink.EXCLUSIVE, "change": netlink.CREATE | netlink.REPLACE, "delete": 0}
_VERBS = {"add": "add", "del": "delete", "delete": "delete", "change": "change", "get": "get", "show": "get"}
_WIDTHS = {netlink.INET: 32, netlink.INET6: 128}


class Wish:
    """One route, as the command line names it.

    Attributes:
        family: INET or INET6.
        destination: Network address; empty for the default route.
        prefix: Its length in bits.
        gateway: Address of the next hop, may be empty.
        interface: FreeBSD's name of the interface, may be empty.
        kind: "net" or "host", for messages.
        text: The destination as given.
        gateway_text: The gateway as given.
    """

    def __init__(self) -> None:
        self.family = netlink.INET
        self.destination = b""
        self.prefix = 0
        self.gateway = b""
        self.interface = ""
        self.kind = ""
        self.text = ""
        self.gateway_text = ""


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run route.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status.

    Raises:
        Failure: With route's words, status 1.
    """
    found, words = options.parse("route", "46dj:nqtv", arguments, _USAGE)
    letters = dict(found)
    if not words or words[0] not in _VERBS:
        raise Failure(*_USAGE)
    if "j" not in letters:
        return _run(_VERBS[words[0]], words[1:], letters)
    from jail_linux import vnet
    from jail_linux.ifconfig import living

    jail = living(settings, letters["j"])
    if jail is None:
        raise Failure("route: jail not found: No such file or directory")
    if jail.net:
        vnet.enter(f"{settings.registry}/jails/{jail.jid}/net")
    return _run(_VERBS[words[0]], words[1:], letters)


def _read(words: list[str], letters: dict[str, str]) -> Wish:
    wish = Wish()
    family, plain = _modifiers(wish, words, netlink.INET6 if "6" in letters else None)
    wish.text = plain[0]
    if plain[0] != "default":
        _destination(wish, plain[0], family)
        family = wish.family
    if len(plain) > 1:
        wish.gateway_text = plain[1]
        read = interfaces.read_address(plain[1], family)
        if read is None:
            raise Failure(f"route: bad address: {plain[1]}")
        wish.family, wish.gateway, _ = read
    elif plain[0] == "default" and family is not None:
        wish.family = family
    wish.kind = wish.kind or ("net" if plain[0] == "default" or "/" in plain[0] else "host")
    return wish


def _modifiers(wish: Wish, words: list[str], family: "int | None") -> "tuple[int | None, list[str]]":
    """Take the modifiers out of the words: the family they name, and the destination and gateway left over."""
    pending = list(words)
    plain: list[str] = []
    while pending:
        word = pending.pop(0)
        if word in {"-inet6", "-6", "-inet", "-4"}:
            family = netlink.INET6 if word.endswith("6") else netlink.INET
        elif word in {"-net", "-host"}:
            wish.kind = word[1:]
        elif word in {"-interface", "-iface", "-ifp"} and pending:
            wish.interface = pending.pop(0)
        elif not word.startswith("-"):
            plain.append(word)
    if not plain:
        raise Failure(*_USAGE)
    return family, plain


def _destination(wish: Wish, text: str, family: "int | None") -> None:
    read = interfaces.read_address(text, family)
    if read is None:
        raise Failure(f"route: bad address: {text}")
    wish.family, packed, prefix = read
    width = _WIDTHS[wish.family]
    wish.prefix = width if prefix is None else prefix
    mask = ((1 << wish.prefix) - 1) << (width - wish.prefix)
    wish.destination = (int.from_bytes(packed, "big") & mask).to_bytes(width // 8, "big")


def _run(verb: str, words: list[str], letters: dict[str, str]) -> int:
    wish = _read(words, letters)
    sockets = Netlink()
    if verb == "get":
        return _show(sockets, wish)
    said = f"{verb} {wish.kind} {wish.text}" + (f": gateway {wish.gateway_text}" if wish.gateway_text else "")
    try:
        _change(sockets, verb, wish)
    except OSError as problem:
        number = problem.errno or 0
        text = {errno.EEXIST: "route already in table", errno.ESRCH: "not in table"}.get(number)
        if text is None:
            say(f"route: message indicates error: {error_text(number)}")
        if "q" not in letters:
            out(f"{said} fib 0: {text or error_text(number)}\n")
        return 1
    if "q" not in letters:
        out(said + "\n")
    return 0


def _change(sockets: Netlink, verb: str, wish: Wish) -> None:
    scope = _SCOPE_UNIVERSE if wish.gateway or verb == "delete" else _SCOPE_LINK
    payload = _MESSAGE.pack(
        wish.family,
        wish.prefix,
        0,
        0,
        _TABLE_MAIN,
        _PROTOCOL_STATIC if verb != "delete" else 0,
        scope,
        _UNICAST,
        0,
    )
    if wish.destination:
        payload += attribute(_RTA_DST, wish.destination)
    if wish.gateway:
        payload += attribute(_RTA_GATEWAY, wish.gateway)
    if wish.interface:
        link = interfaces.find(sockets, wish.interface)
        if link is None:
            raise Failure(f"route: bad address: {wish.interface}")
        payload += attribute(_RTA_OIF, link.index.to_bytes(4, "little"))
    sockets.ask(netlink.DELROUTE if verb == "delete" else netlink.NEWROUTE, _FLAGS[verb], payload)


def _show(sockets: Netlink, wish: Wish) -> int:
    for body in sockets.ask(netlink.GETROUTE, 0x300, _MESSAGE.pack(wish.family, 0, 0, 0, 0, 0, 0, 0, 0)):
        family, prefix, _, _, table, _, _, kind, _ = _MESSAGE.unpack_from(body)
        found = netlink.attributes(body[_MESSAGE.size :])
        same = prefix == wish.prefix and found.get(_RTA_DST, b"") == wish.destination
        if not same or family != wish.family or table != _TABLE_MAIN or kind != _UNICAST:
            continue
        index = int.from_bytes(found.get(_RTA_OIF, b""), "little")
        name = next((interfaces.shown(link) for link in sockets.links() if link.index == index), "")
        lines = [f"   route to: {wish.text}", f"destination: {wish.text}"]
        if _RTA_GATEWAY in found:
            lines.append(f"    gateway: {_socket.inet_ntop(family, found[_RTA_GATEWAY])}")
        lines += ["        fib: 0", f"  interface: {name}", "      flags: <UP,GATEWAY,DONE,STATIC>"]
        out("".join(f"{line}\n" for line in lines))
        return 0
    raise Failure("route: route has not been found")
