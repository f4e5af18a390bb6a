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
from jail_driver.config.kinds import Problems
from jail_driver.config.model import AddressWanted, JailConfig
from jail_driver.config.mounts import read_fstab
from jail_driver.errors import HostError

_FSTAB_BYTES = 1 << 20


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
        HostError: a file cannot be read, or a name has no address: worth trying again.
        ConfigError: a file's lines are wrong, or the policy forbids what was found.
    """
    lookups = lookups or Lookups()
    problems = Problems()
    settled = config
    if config.mount_fstab is not None:
        with _asking("Mount_fstab"):
            text = lookups.read_text(config.mount_fstab)
        listed = read_fstab(config.mount_fstab, text, config.path, problems)
        settled = replace(settled, mounts=(*config.mounts, *listed), mount_fstab=None)
    if config.ip_hostname:
        hostname = str(config.params.get("host.hostname"))
        with _asking(f"Ip_hostname: looking {hostname!r} up"):
            addresses = lookups.addresses_of(hostname)
        settled = _with_addresses(settled, addresses)
    if allowed.paths is not None:
        settled = _with_real_paths(settled, lookups.real_path)
    problems.found += policy.check(settled, allowed)
    problems.raise_if_any()
    return settled


@contextmanager
def _asking(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise HostError(what, str(error)) from error


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
        mounts=tuple(
            replace(mount, source=real_path(mount.source)) if mount.source.startswith("/") else mount
            for mount in config.mounts
        ),
    )
