"""Addresses and interfaces of a job: ``Ip4_addr``, ``Ip6_addr``, ``Nic``, ``Vnet_nic``."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from jail_driver.config import read
from jail_driver.config.kinds import Problems
from jail_driver.config.model import AddressWanted

_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,14}\Z", re.ASCII)
_INTERFACE_FORM = 'write an interface of the host, as "em1"; at most 15 characters'
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253})\Z", re.ASCII)
_HOSTS_FORM = 'write "address name [name ...]", as "192.0.2.5 db db.example.org"'
_MAX_LINE = 1023
_BITS = {4: 32, 6: 128}
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
"""With 0.0.0.0 and :: what jail_set(2) refuses (prison_valid_v4 and _v6: sys/netinet/in_jail.c, in6_jail.c)."""


def read_addresses(
    key: str, value: Any, version: int, nic: str | None, problems: Problems
) -> tuple[AddressWanted, ...]:
    """Reads a list of addresses, each ``[interface|]address[/prefix]``.

    Args:
        key: the job's key.
        value: text with commas, or a list of texts.
        version: 4 or 6.
        nic: interface for entries that name none.
        problems: where to note what is wrong.
    """
    found: dict[str, AddressWanted] = {}
    for line in read.texts(key, value, problems, max_bytes=_MAX_LINE * 64):
        for entry in (part.strip() for part in line.split(",")):
            wanted = _read_address(key, entry, version, nic, problems) if entry else None
            if wanted is None:
                continue
            if found.setdefault(wanted.address, wanted) != wanted:
                problems.add(key, entry, "is there twice, and differently", "keep one of them")
    return tuple(found.values())


def _read_address(
    key: str, entry: str, version: int, nic: str | None, problems: Problems
) -> AddressWanted | None:
    before, bar, rest = entry.partition("|")
    interface = read_interface(key, before.strip(), problems) if bar else nic
    words = (rest if bar else before).split() or [""]
    address, slash, prefix = words[0].partition("/")
    bits = _prefix_len(prefix, version) if slash else None
    fault = _address_fault(words, address, version)
    if fault is None and slash and bits is None:
        fault = (f"{prefix!r} is no prefix length", f"write {_example(version)}")
    if fault is not None:
        problems.add(key, entry, *fault)
        return None
    if bar and interface is None:
        return None
    return AddressWanted(str(ipaddress.ip_address(address)), interface, bits)


def _address_fault(words: list[str], address: str, version: int) -> tuple[str, str] | None:
    """Says why an entry is no address of this family: reason and remedy."""
    if len(words) > 1:
        remedy = "add such an address in an Exec_prestart hook and name it here without an interface"
        return "has further ifconfig(8) words", remedy
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"is no IPv{version} address", f"write {_example(version)}"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.scope_id:
        return "has a zone", f"write the interface in front: {parsed.scope_id}|…"
    if parsed.version != version:
        return f"is no IPv{version} address", f"use Ip{parsed.version}_addr for it"
    if parsed.is_unspecified or parsed == _BROADCAST:
        remedy = f"write the jail's own, or Ip{version} = \"inherit\" for all of the host's"
        return "is no address of a single host, and the kernel takes none such", remedy
    return None


def _prefix_len(prefix: str, version: int) -> int | None:
    """Returns the bits of ``24`` or, for IPv4, ``255.255.255.0``."""
    if prefix.isdecimal() and prefix.isascii() and len(prefix) <= 3:  # noqa: PLR2004  # 0 to 128
        return int(prefix) if int(prefix) <= _BITS[version] else None
    if version == 4 and re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", prefix, re.ASCII):  # noqa: PLR2004  # IPv4
        try:
            mask = int(ipaddress.IPv4Address(prefix))
        except ValueError:
            return None
        bits = mask.bit_count()
        return bits if mask == (2**32 - 1) ^ (2 ** (32 - bits) - 1) else None
    return None


def _example(version: int) -> str:
    return '"em1|192.0.2.10/24"' if version == 4 else '"em1|2001:db8::10/64"'  # noqa: PLR2004  # IPv4


def read_interface(key: str, value: str, problems: Problems) -> str | None:
    """Checks the name of an interface; None after a problem was noted."""
    if _INTERFACE.match(value):
        return value
    problems.add(key, value, "is no interface name", _INTERFACE_FORM)
    return None


def read_interfaces(key: str, value: Any, problems: Problems) -> tuple[str, ...]:
    """Reads interface names: one, several with commas (as jail(8) takes them), or a list."""
    lines = read.texts(key, value, problems, max_bytes=_MAX_LINE)
    names = [part.strip() for line in lines for part in line.split(",") if part.strip()]
    found = (read_interface(key, name, problems) for name in names)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def read_gateways(key: str, value: Any, problems: Problems) -> tuple[str, ...]:
    """Reads default routes: addresses with commas or a list, at most one a family."""
    found: dict[int, str] = {}
    lines = read.texts(key, value, problems, max_bytes=_MAX_LINE)
    for text in (part.strip() for line in lines for part in line.split(",") if part.strip()):
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            problems.add(key, text, "is no address", 'write one, as "192.0.2.1"')
            continue
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
            problems.add(key, text, "has a zone", "write a gateway with a global address")
        elif found.setdefault(address.version, str(address)) != str(address):
            problems.add(key, text, f"is a second IPv{address.version} gateway", "keep one of them")
    return tuple(found.values())


def read_hosts(key: str, value: Any, problems: Problems) -> tuple[str, ...]:
    """Reads lines of hosts(5): an address and at least one name, blanks between them."""
    found = []
    for line in read.texts(key, value, problems, max_bytes=_MAX_LINE):
        words = line.split()
        try:
            ipaddress.ip_address(words[0] if words else "")
        except ValueError:
            problems.add(key, line, "does not begin with an address", _HOSTS_FORM)
            continue
        if len(words) == 1 or not all(_HOST_NAME.match(name) for name in words[1:]):
            problems.add(key, line, "lacks a host name, or holds what is none", _HOSTS_FORM)
            continue
        found.append(" ".join(words))
    return tuple(found)
