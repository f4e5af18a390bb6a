"""What the operator lets jobs do: hooks, paths, parameters, interfaces, addresses, devices, volumes.

Hooks run as the host's root and most parameters loosen the jail, so whoever may submit jobs may become
the host's root, unless the operator says otherwise. ``open`` allows everything that is not listed;
``strict`` allows only what is listed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable  # signatures are read by the type checker
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase

from jail_driver.config.keys import BY_PARAM
from jail_driver.config.kinds import printable
from jail_driver.config.model import AddressWanted, Command, JailConfig  # as above
from jail_driver.config.params import positive

Allowed = tuple[str, ...] | None
"""Patterns of what is allowed; None: everything."""

_HARMLESS = {
    ("enforce_statfs", "2"),
    ("devfs_ruleset", "4"),
    ("children.max", "0"),
    ("zfs.mount_snapshot", "0"),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's decisions; each field is the plugin option ``allow_<field>``.

    Args:
        hooks: names of host hooks, as ``exec.prestart``.
        hook_programs: programs that host hooks may run without a shell: paths, or directories that end in /.
        paths: directories of the host below which Path, Mount sources and log files may lie.
        parameters: guarded jail parameters, as ``allow.raw_sockets`` or ``allow.mount.*``.
        interfaces: host interfaces that jobs may use, as ``em1`` or ``e0b_*``.
        addresses: networks in CIDR form that jobs may take addresses from.
        devices: device files, as ``/dev/dri/*``.
        volumes: directories of the host that Nomad's volumes and mounts may come from.
    """

    hooks: Allowed = None
    hook_programs: Allowed = None
    paths: Allowed = None
    parameters: Allowed = None
    interfaces: Allowed = None
    addresses: Allowed = None
    devices: Allowed = None
    volumes: Allowed = None

    @property
    def hooks_open(self) -> bool:
        """Whether any job may run any command as the host's root."""
        return self.hook_programs is None and (self.hooks is None or bool(self.hooks))


OPEN = Policy()
STRICT = Policy(hooks=(), paths=(), parameters=(), interfaces=(), addresses=(), devices=())
"""Volumes stay open: host volumes are declared by the operator in Nomad's own configuration."""

PRESETS = {"open": OPEN, "strict": STRICT}
FIELDS = tuple(field.name for field in fields(Policy))


def check(config: JailConfig, policy: Policy) -> list[str]:
    """Returns a sentence for each thing that the policy does not allow; it names the plugin option."""
    found = [*_check_hooks(config, policy), *_check_params(config, policy)]
    if config.path is not None:
        found += check_path("Path", config.path, policy.paths)
    if config.consolelog is not None:
        found += check_path("Exec_consolelog", config.consolelog, policy.paths)
    if config.mount_fstab is not None:
        found += check_path("Mount_fstab", config.mount_fstab, policy.paths)
    if config.mounts or config.mount_fstab is not None:
        found += _check_name("Mount", "mount", policy.parameters, "allow_parameters")
    for mount in config.mounts:
        if mount.source.startswith("/"):
            found += check_path("Mount", mount.source, policy.paths)
    for interface in dict.fromkeys((*config.vnet_interfaces, *_interfaces(config), *_bridges(config))):
        found += _check_name("interface", interface, policy.interfaces, "allow_interfaces")
    for wanted in (*config.ip4_addrs, *config.ip6_addrs):
        found += _check_address(wanted, policy.addresses)
    return found


def _check_hooks(config: JailConfig, policy: Policy) -> Iterable[str]:
    for name, commands in config.hooks.items():
        if name == "exec.stop":  # Runs inside the jail, as main does.
            continue
        yield from _check_name("hook", name, policy.hooks, "allow_hooks")
        for command in commands:
            yield from _check_program(name, command, policy.hook_programs)


def _check_program(hook: str, command: Command, allowed: Allowed) -> Iterable[str]:
    if allowed is None:
        return
    program = command.argv[0]
    plain = ".." not in program.split("/")
    if plain and any(
        program == item or (item.endswith("/") and program.startswith(item)) for item in allowed
    ):
        return
    remedy = "name one of them without shell characters"
    yield _refusal(f"{hook} runs {program}", allowed, remedy, "allow_hook_programs")


def _check_params(config: JailConfig, policy: Policy) -> Iterable[str]:
    for name, value in config.params.items():
        key = BY_PARAM.get(name)
        if key is None and positive(name) in BY_PARAM:
            continue  # Turned off: less than the default.
        if key is None or value == "inherit" or (key.guarded and (name, value) not in _HARMLESS):
            yield from _check_name("parameter", name, policy.parameters, "allow_parameters")
    if config.zfs_datasets:
        yield from _check_name("parameter", "zfs.dataset", policy.parameters, "allow_parameters")


def check_path(key: str, path: str, allowed: Allowed) -> list[str]:
    """Returns why a host path is not allowed, as zero or one sentence.

    The caller passes the path as written and, before it uses it, the one that symbolic links lead to.
    """
    if _is_below(path, allowed):
        return []
    return [_refusal(f"{key} = {path}", allowed, "move it there", "allow_paths")]


def below(path: str, prefix: str) -> bool:
    """Tells whether a path is ``prefix`` or lies below it.

    >>> below("/jails/web", "/jails"), below("/jails2", "/jails")
    (True, False)
    """
    prefix = prefix.rstrip("/")
    return path == prefix or path.startswith(f"{prefix}/")


def check_device(path: str, policy: Policy) -> list[str]:
    """Returns why a device file is not allowed, as zero or one sentence."""
    return _check_name("device", path, policy.devices, "allow_devices")


def check_volume(path: str, policy: Policy) -> list[str]:
    """Returns why a directory of the host may not become a volume, as zero or one sentence."""
    if _is_below(path, policy.volumes):
        return []
    return [_refusal(f"volume {path}", policy.volumes, "move it there", "allow_volumes")]


def _is_below(path: str, allowed: Allowed) -> bool:
    return allowed is None or (".." not in path.split("/") and any(below(path, item) for item in allowed))


def _refusal(thing: str, allowed: Allowed, remedy: str, option: str) -> str:
    listed = ", ".join(allowed) if allowed else "none"
    thing = printable(thing, 200)
    return f"{thing}: the operator of this node allows {listed}; {remedy} or have the plugin option {option} extended"


def _check_name(what: str, name: str, allowed: Allowed, option: str) -> list[str]:
    if allowed is None or any(fnmatchcase(name, pattern) for pattern in allowed):
        return []
    return [_refusal(f"{what} {name}", allowed, "leave it out", option)]


def _check_address(wanted: AddressWanted, allowed: Allowed) -> list[str]:
    if allowed is None or any(_in_network(wanted.address, network) for network in allowed):
        return []
    return [_refusal(f"address {wanted.address}", allowed, "take another one", "allow_addresses")]


def _in_network(address: str, network: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)


def _bridges(config: JailConfig) -> tuple[str, ...]:
    return () if config.bridge is None else (config.bridge,)


def _interfaces(config: JailConfig) -> list[str]:
    addresses = (*config.ip4_addrs, *config.ip6_addrs)
    return [wanted.interface for wanted in addresses if wanted.interface is not None]
