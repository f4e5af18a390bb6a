"""Reads what FreeBSD's commands print. Pure: bytes in, plain data out.

Formats: libxo(3) JSON where a command has it (jls(8) from FreeBSD 11.0, mount(8) from 14.0), else text whose
shape has not changed in decades. Text is UTF-8; a name that is not stays what it is through
``surrogateescape``, so that it can be handed back to a command.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jail_driver.host.errors import HostError
from jail_driver.host.port import AddressSeen, JailSeen, MountSeen, Rule

Seen = TypeVar("Seen")

_PARAM = "security.jail.param."
_TEXT_MOUNT = re.compile(r"(?P<source>.*?) on (?P<target>/.*) \((?P<fstype>[^(),]+)(?P<rest>[^()]*)\)")
_INTERFACE = re.compile(r"(?P<name>[^\s:]+): ")
_ADDRESS = re.compile(
    r"\s+inet6? (?P<address>[0-9A-Fa-f:.]+)(?:%\S+)?(?:/(?P<cidr>\d+))?(?: --> \S+)?"
    r"(?: (?:netmask (?P<mask>\S+)|prefixlen (?P<prefix>\d+)))?"
)
_STATE = re.compile(r"\s+inet6 (?P<address>[0-9A-Fa-f:.]+)(?:%\S+)?(?: --> \S+)? prefixlen \d+(?P<words>.*)")


def text(output: bytes) -> str:
    """Decodes what a command printed."""
    return output.decode("utf-8", "surrogateescape")


def jails(output: bytes) -> tuple[JailSeen, ...]:
    """Reads ``jls -d --libxo json jid name path host.hostname dying [meta]``.

    Numbers and flags come as text when parameters are named (recorded: ``"jid":"1"``, ``"dying":"false"``)
    and as such with ``-n`` or by default; both are taken.

    Raises:
        HostError: not what jls(8) prints.
    """
    return _each(output, "jls", "jail-information", "jail", _jail)


def mounts(output: bytes) -> tuple[MountSeen, ...]:
    """Reads ``mount -v --libxo json``; without options set, ``opts`` is missing.

    Raises:
        HostError: not what mount(8) prints.
    """
    return _each(output, "mount", "mount", "mounted", _mount)


def text_mounts(output: bytes) -> tuple[MountSeen, ...]:
    """Reads ``mount -v`` of FreeBSD 13 and older, which have no JSON.

    A source that holds `` on /`` is ambiguous there; ours never does, others' are of no interest.
    """
    seen = []
    for line in text(output).splitlines():
        if match := _TEXT_MOUNT.fullmatch(line):
            details = [detail.strip() for detail in match["rest"].split(",")]
            fsid = next((d.removeprefix("fsid ") for d in details if d.startswith("fsid ")), "")
            seen.append(
                MountSeen(match["source"], match["target"], match["fstype"], fsid, "read-only" in details)
            )
    return tuple(seen)


def addresses(output: bytes) -> tuple[AddressSeen, ...]:
    """Reads ``ifconfig -a``: ``inet A netmask 0xffffff00``, ``inet6 A%zone prefixlen 64``.

    Point-to-point lines (``A --> B``) count with their own end.

    Raises:
        HostError: not what ifconfig(8) prints.
    """
    seen = []
    interface = ""
    try:
        for line in text(output).splitlines():
            if heading := _INTERFACE.match(line):
                interface = heading["name"]
            elif match := _ADDRESS.match(line):
                address = ipaddress.ip_address(match["address"])
                seen.append(AddressSeen(interface, str(address), _prefix(match, address.max_prefixlen)))
    except ValueError as error:
        raise _unexpected("ifconfig", output) from error
    return tuple(seen)


def address_words(output: bytes, address: str) -> tuple[str, ...]:
    """Reads what ``ifconfig IF`` says of one IPv6 address behind its prefix, such as ``tentative``.

    Args:
        output: of one interface.
        address: canonical text.
    """
    for line in text(output).splitlines():
        match = _STATE.match(line)
        if match and str(ipaddress.ip_address(match["address"])) == address:
            return tuple(match["words"].split())
    return ()


def rules(output: bytes, jail_name: str) -> tuple[Rule, ...]:
    """Reads ``rctl jail:NAME``: one ``jail:NAME:resource:action=amount[/per]`` a line."""
    seen = []
    subject = f"jail:{jail_name}:"
    for line in text(output).splitlines():
        if line.startswith(subject):
            resource, _, limit = line.removeprefix(subject).partition(":")
            action, _, amount = limit.partition("=")
            amount, _, per = amount.partition("/")
            seen.append(Rule(jail_name, resource, action, amount, per or None))
    return tuple(seen)


def parameters(output: bytes) -> frozenset[str]:
    """Reads ``sysctl -N security.jail.param``.

    A trailing dot marks a parameter that has others below it (``host.`` is ``host``); a node that has no
    such entry (``allow``, ``children``, ``mac``) is no parameter itself.
    """
    names = [line.removeprefix(_PARAM) for line in text(output).split() if line.startswith(_PARAM)]
    nodes = {name.rpartition(".")[0] for name in names} | {"mac"}
    return frozenset(name.removesuffix(".") for name in names if name.endswith(".") or name not in nodes)


def _each(
    output: bytes, command: str, container: str, listing: str, make: Callable[[Mapping[str, Any]], Seen]
) -> tuple[Seen, ...]:
    try:
        return tuple(make(entry) for entry in json.loads(text(output))[container].get(listing, ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unexpected(command, output) from error


def _unexpected(command: str, output: bytes) -> HostError:
    return HostError(f"read the output of {command}", f"not as expected: {output[:80]!r}")


def _jail(entry: Mapping[str, Any]) -> JailSeen:
    return JailSeen(
        jid=int(entry["jid"]),
        name=str(entry["name"]),
        path=str(entry["path"]),
        hostname=str(entry.get("host.hostname", "")),
        dying=entry.get("dying") in {True, "true", "1"},
        meta=str(entry.get("meta", "")),
    )


def _mount(entry: Mapping[str, Any]) -> MountSeen:
    return MountSeen(
        source=str(entry["special"]),
        target=str(entry["node"]),
        fstype=str(entry["fstype"]),
        fsid=str(entry.get("fsid", "")),
        readonly="read-only" in entry.get("opts", ()),
    )


def _prefix(match: re.Match[str], longest: int) -> int:
    if match["cidr"] or match["prefix"]:
        return int(match["cidr"] or match["prefix"])
    mask = match["mask"]
    if not mask:
        return longest
    number = int(mask, 16) if mask.startswith("0x") else int(ipaddress.ip_address(mask))
    return number.bit_count()
