"""Looks up once, at a task's start, what its configuration only names: files, host names, symbolic links.

What is found replaces the name in the configuration, so that nothing is looked up again during the
task's life: a file or a name that changes later cannot make teardown undo something else.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator, Sequence  # dataclass fields are read at run time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address

from jail_driver.config import policy
from jail_driver.config.kinds import Problems, shown
from jail_driver.config.model import AddressWanted, JailConfig
from jail_driver.config.mounts import read_fstab
from jail_driver.errors import ConfigError, HostError, reason

_FSTAB_BYTES = 1 << 20
_FSTAB_REMEDY = "name an fstab(5) file of this host, or write its lines as Mount"
_NAME_REMEDY = "make it known to this host's resolver, or write the addresses as Ip4_addr and Ip6_addr"


def _read_regular(path: str) -> str:
    """Reads a small regular file; a FIFO or device of that name must not block or feed the driver."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        data = file.read(_FSTAB_BYTES + 1)
    if len(data) > _FSTAB_BYTES:
        raise OSError(f"{path} is larger than {_FSTAB_BYTES} bytes")
    return data.decode()


def _addresses_of(name: str) -> tuple[str, ...]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


@dataclass(frozen=True, slots=True)
class Lookups:
    """How to ask the host; each may raise OSError.

    Args:
        read_text: returns a file's text; may raise UnicodeDecodeError too.
        addresses_of: returns a host name's addresses, in the resolver's order.
        real_path: resolves symbolic links.
    """

    read_text: Callable[[str], str] = _read_regular
    addresses_of: Callable[[str], Sequence[str]] = _addresses_of
    real_path: Callable[[str], str] = os.path.realpath


def settle(
    config: JailConfig, allowed: policy.Policy = policy.OPEN, lookups: Lookups | None = None
) -> JailConfig:
    """Returns the configuration with everything looked up. Blocks: call it in a thread.

    Args:
        config: as ``parse_task_config`` made it.
        allowed: the operator's policy; checked again with the real paths and what the files say.
        lookups: how to ask the host.

    Raises:
        HostError: a file cannot be read, or a name has no address, and nothing else is wrong: worth trying again.
        ConfigError: a file's lines are wrong, or the policy forbids what was found; what failed is named too.
    """
    lookups = lookups or Lookups()
    if allowed.paths is not None:
        config = _with_real_paths(config, lookups.real_path)
    # Before anything is read: what a file holds is told in the problems that its lines have.
    if forbidden := policy.check(config, allowed):
        raise ConfigError(*forbidden)
    problems = Problems()
    failures: list[HostError] = []
    settled = config
    if config.mount_fstab is not None:
        with _asking(f"Mount_fstab = {shown(config.mount_fstab)}", _FSTAB_REMEDY, failures):
            text = lookups.read_text(config.mount_fstab)
            listed = read_fstab(config.mount_fstab, text, config.path, problems)
            settled = replace(settled, mounts=(*config.mounts, *listed), mount_fstab=None)
    hostname = config.params.get("host.hostname")
    if config.ip_hostname and hostname:
        with _asking(f"Ip_hostname: looking {hostname!r} up", _NAME_REMEDY, failures):
            settled = _with_addresses(settled, lookups.addresses_of(hostname))
    if allowed.paths is not None:
        settled = _with_real_paths(settled, lookups.real_path)
    problems.found += policy.check(settled, allowed)
    if failures and (problems.found or len(failures) > 1):
        problems.found += [str(failure) for failure in failures]
    elif failures:
        raise failures[0]
    problems.raise_if_any()
    return settled


@contextmanager
def _asking(what: str, remedy: str, failures: list[HostError]) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError) as error:
        failures.append(HostError(what, f"{reason(error)}; {remedy}"))


def _with_addresses(config: JailConfig, addresses: Sequence[str]) -> JailConfig:
    """Adds addresses behind those that the job wrote, without repeating one."""
    written = {wanted.address for wanted in (*config.ip4_addrs, *config.ip6_addrs)}
    found = [ip_address(address) for address in addresses]
    new = [AddressWanted(str(item), config.nic) for item in found if str(item) not in written]
    return replace(
        config,
        ip4_addrs=(*config.ip4_addrs, *(wanted for wanted in new if ":" not in wanted.address)),
        ip6_addrs=(*config.ip6_addrs, *(wanted for wanted in new if ":" in wanted.address)),
        ip_hostname=False,
    )


def _with_real_paths(config: JailConfig, real_path: Callable[[str], str]) -> JailConfig:
    """Replaces host paths by those that symbolic links lead to, so that what is checked is what is used."""
    return replace(
        config,
        path=None if config.path is None else real_path(config.path),
        consolelog=None if config.consolelog is None else real_path(config.consolelog),
        mount_fstab=None if config.mount_fstab is None else real_path(config.mount_fstab),
        mounts=tuple(
            replace(mount, source=real_path(mount.source)) if mount.source.startswith("/") else mount
            for mount in config.mounts
        ),
    )
