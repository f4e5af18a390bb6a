"""Reads the keys that a job sets into a ``JailConfig``, one method a subject."""

from __future__ import annotations

import re
from typing import Any

from jail_driver.config import commands, networks, params, read, rules
from jail_driver.config.keys import BY_NAME, BY_PARAM, KEYS
from jail_driver.config.kinds import KERNEL_KINDS, Fate, Key, Kind, Problems
from jail_driver.config.model import AddressWanted, Command, JailConfig, KernelFacts
from jail_driver.config.mounts import read_mounts

_USER = re.compile(r"[^\s:/\x00-\x1f-][^\s:/\x00-\x1f]{0,63}\Z")
_PATH_BYTES = 1023


class Reader:
    """Reads the keys that are set.

    Args:
        given: values by the table's names; none is None.
        kernel: what the running kernel has, if known.
        problems: where to note what is wrong.
    """

    def __init__(self, given: dict[str, Any], kernel: KernelFacts | None, problems: Problems) -> None:
        self.given = given
        self._kernel = kernel
        self._problems = problems

    def read(self) -> JailConfig:
        """Returns what could be read; problems are noted beside it."""
        sent = self._kernel_params()
        path = self._path()
        nic = self._interface("Nic")
        devfs_ruleset = sent.get("devfs_ruleset")
        return JailConfig(
            path=path,
            params=sent,
            ip4_addrs=self._addresses("Ip4_addr", 4, nic),
            ip6_addrs=self._addresses("Ip6_addr", 6, nic),
            vnet="vnet" in sent,
            vnet_interfaces=self._interfaces(),
            bridge=self._interface("Bridge"),
            gateways=networks.read_gateways("Gateway", self.given["Gateway"], self._problems)
            if "Gateway" in self.given
            else (),
            hosts=networks.read_hosts("Hosts", self.given["Hosts"], self._problems)
            if "Hosts" in self.given
            else (),
            path_readonly=self._switch("Path_readonly"),
            work_dir=self._host_path("Work_dir"),
            hooks=self._hooks(),
            start=self._start(),
            persist=self._switch("Persist"),
            exec_timeout_s=self._seconds("Exec_timeout"),
            stop_timeout_s=self._seconds("Stop_timeout"),
            consolelog=self._host_path("Exec_consolelog"),
            exec_fib=self._number("Exec_fib"),
            jail_user=self._user("Exec_jail_user"),
            system_jail_user=self._switch("Exec_system_jail_user"),
            system_user=self._user("Exec_system_user"),
            mount_devfs=self._switch("Mount_devfs"),
            mount_fdescfs=self._switch("Mount_fdescfs"),
            mount_procfs=self._switch("Mount_procfs"),
            devfs_ruleset=None if devfs_ruleset is None else int(devfs_ruleset),
            mounts=read_mounts("Mount", self.given["Mount"], path, self._problems)
            if "Mount" in self.given
            else (),
            mount_fstab=self._host_path("Mount_fstab"),
            ip_hostname=self._switch("Ip_hostname"),
            nic=nic,
            zfs_datasets=self._datasets(),
            rules=rules.read_rctl(self.given["Rctl"], self._problems) if "Rctl" in self.given else (),
            notices=self._notices(sent),
        )

    def _kernel_params(self) -> dict[str, str | None]:
        sent: dict[str, str | None] = {}
        for key in KEYS:
            if key.name in self.given and key.kind in KERNEL_KINDS:
                sent.update(params.read_param(key, self.given[key.name], self._kernel, self._problems))
            elif key.name == "Vnet" and "Vnet" in self.given:
                sent.update(self._vnet(key))
        if "Params" in self.given:
            sent.update(params.read_extra(self.given["Params"], self._kernel, self._problems))
        return sent

    def _vnet(self, key: Key) -> dict[str, str | None]:
        value = self.given["Vnet"]
        if value == "inherit":
            return {}  # Said aloud, the kernel takes no addresses beside it (kern_jail.c: ch_flags).
        if value == "new":
            return {"vnet": value}
        on = read.flag("Vnet", value, self._problems)
        if on and self._kernel is not None and key.param not in self._kernel.parameters:
            self._problems.lack(
                "Vnet", "vnet", "this kernel is built without VIMAGE", "use a GENERIC kernel, or Ip4_addr"
            )
        return {"vnet": "new"} if on else {}

    def _path(self) -> str | None:
        path = self._host_path("Path")
        return path if path is None or path == "/" else path.rstrip("/")

    def _host_path(self, name: str) -> str | None:
        if name not in self.given:
            return None
        path = read.text(name, self.given[name], self._problems, max_bytes=_PATH_BYTES)
        if path is None:
            return None
        if not path.startswith("/") or any(part in {".", ".."} for part in path.split("/")):
            self._problems.add(name, path, "is not an absolute path without dots", "write it in full, from /")
            return None
        return path

    def _interface(self, key: str) -> str | None:
        if key not in self.given:
            return None
        name = read.text(key, self.given[key], self._problems, max_bytes=_PATH_BYTES)
        return None if name is None else networks.read_interface(key, name, self._problems)

    def _addresses(self, name: str, version: int, nic: str | None) -> tuple[AddressWanted, ...]:
        if name not in self.given:
            return ()
        return networks.read_addresses(name, self.given[name], version, nic, self._problems)

    def _interfaces(self) -> tuple[str, ...]:
        if "Vnet_nic" not in self.given:
            return ()
        return networks.read_interfaces("Vnet_nic", self.given["Vnet_nic"], self._problems)

    def _hooks(self) -> dict[str, tuple[Command, ...]]:
        hooks: dict[str, tuple[Command, ...]] = {}
        for key in KEYS:
            if key.kind is Kind.COMMANDS and key.name in self.given:
                found = [commands.split(text) for text in self._texts(key.name)]
                if any(found):
                    hooks[key.param] = tuple(command for command in found if command is not None)
        return hooks

    def _start(self) -> tuple[Command, ...]:
        texts = [text for text in self._texts("Exec_start") if commands.split(text) is not None]
        if isinstance(self.given.get("Command"), list | tuple):
            argv = self._texts("Command")
            mains = [commands.exact(argv)] if argv and argv[0] else []
        else:
            texts += self._texts("Command")
            mains = [main for text in texts[-1:] if (main := commands.split_main(text)) is not None]
            texts = texts[:-1]
        found = (commands.split(text) for text in texts)
        return (*(command for command in found if command is not None), *mains)

    def _texts(self, name: str) -> tuple[str, ...]:
        if name not in self.given:
            return ()
        return read.texts(name, self.given[name], self._problems, max_bytes=commands.MAX_BYTES)

    def _switch(self, name: str) -> bool:
        return name in self.given and bool(read.flag(name, self.given[name], self._problems))

    def _seconds(self, name: str) -> float | None:
        return read.seconds(name, self.given[name], self._problems) if name in self.given else None

    def _number(self, name: str) -> int | None:
        return read.number(BY_NAME[name], self.given[name], self._problems) if name in self.given else None

    def _user(self, name: str) -> str | None:
        if name not in self.given:
            return None
        user = read.text(name, self.given[name], self._problems, max_bytes=64)
        if user is not None and not _USER.match(user):
            self._problems.add(name, user, "is no user name", "write a name of passwd(5)")
            return None
        return user

    def _datasets(self) -> tuple[str, ...]:
        if "Zfs_dataset" not in self.given:
            return ()
        texts = read.texts("Zfs_dataset", self.given["Zfs_dataset"], self._problems, max_bytes=255)
        for text in texts:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:/ -]*", text, re.ASCII):
                self._problems.add(
                    "Zfs_dataset", text, "is no dataset name", 'write it as zfs(8) does, as "pool/data"'
                )
        return texts

    def _notices(self, sent: dict[str, str | None]) -> tuple[str, ...]:
        for name, value in self.given.items():
            if BY_NAME[name].fate is Fate.IDLE:
                read.flag(name, value, self._problems)
        mounts = [name for name in sent if name.startswith("allow.mount.") and BY_PARAM.get(name) is not None]
        if mounts and ("allow.mount" not in sent or sent.get("enforce_statfs", "2") == "2"):
            names = ", ".join(BY_PARAM[name].name for name in mounts)
            self._problems.notices.append(
                f"{names}: no effect without Allow_mount = true and Enforce_statfs = 1 or 0"
            )
        return tuple(self._problems.notices)
