"""The in-memory host's jails and limits."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path

from jail_driver.host.errors import ExistsError, HostError, MissingError
from jail_driver.host.fakebase import FakeJail, FakeKernel
from jail_driver.host.jails import kernel_argument
from jail_driver.host.port import JailSeen, Rule

_PARAMETERS = (
    "allow.chflags allow.mount allow.mount.devfs allow.mount.nullfs allow.mount.tmpfs allow.raw_sockets "
    "allow.set_hostname allow.sysvipc children.cur children.max devfs_ruleset dying enforce_statfs env host "
    "host.domainname host.hostid host.hostname host.hostuuid ip4 ip4.addr ip4.saddrsel ip6 ip6.addr "
    "ip6.saddrsel jid meta name osreldate osrelease parent path persist securelevel sysvmsg sysvsem sysvshm vnet"
)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# rctl(8): what the kernel refuses (recorded).
_NO_DENY = {"cputime", "wallclock", "readbps", "writebps", "readiops", "writeiops"}
_THROTTLE = {"readbps", "writebps", "readiops", "writeiops"}


class FakeJails(FakeKernel):
    """See ``FakeHost``."""

    async def kernel_parameters(self) -> frozenset[str]:
        """See ``JailHost``."""
        return frozenset(_PARAMETERS.split())

    async def racct_enabled(self) -> bool:
        """See ``JailHost``."""
        return self.racct

    async def boot_id(self) -> str:
        """See ``JailHost``."""
        return "fake:1"

    async def release(self) -> str:
        """See ``JailHost``."""
        return "15.0-RELEASE"

    async def kernel_value(self, name: str) -> str | None:
        """See ``JailHost``."""
        return self.kernel_values.get(name)

    async def bind_cpus(self, jid: int, cpus: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("bind_cpus", lock):
            jail = self.living(jid)
            what = f"bind jail {jid} to the processors {cpus}"
            if jail is None:
                raise HostError(what, f"cpuset: jail {jid} not found")
            ncpu = int(self.kernel_values["hw.ncpu"])
            numbers = [int(number) for part in cpus.split(",") for number in part.split("-")]
            if max(numbers) >= ncpu:
                raise HostError(what, "cpuset: setaffinity: Invalid argument")
            jail.cpus = cpus

    async def attach_dataset(self, jid: int, dataset: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("attach_dataset", lock):
            jail = self.living(jid)
            if jail is None or dataset not in self.datasets:
                raise HostError(f"hand {dataset} to jail {jid}", "zfs: dataset does not exist")
            jail.datasets.add(dataset)

    async def detach_dataset(self, jid: int, dataset: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("detach_dataset", lock):
            jail = self.jail_table.get(jid)
            if jail is not None:
                jail.datasets.discard(dataset)

    async def jails(self, *, dying: bool = True) -> tuple[JailSeen, ...]:
        """See ``JailHost``."""
        async with self.operation("jails"):
            seen = [
                JailSeen(j.jid, j.name, j.path, j.hostname, dying=j.gone_at_s is not None, meta=j.meta)
                for j in self.jail_table.values()
            ]
            return tuple(jail for jail in seen if dying or not jail.dying)

    async def create_jail(
        self, name: str, path: Path, params: Mapping[str, str | None], *, lock: Path | None = None
    ) -> int:
        """See ``JailHost``."""
        for key, value in params.items():
            kernel_argument(key, value)
        async with self.operation("create_jail", lock):
            what = f"create jail {name}"
            for jail in self.jail_table.values():
                if jail.name == name and jail.gone_at_s is None:
                    raise ExistsError(what, f'jail: "{jail.jid}" already exists')
            if not os.path.isdir(path):  # noqa: PTH112  # no disk is waited for: tests
                raise MissingError(what, f"jail: path {path}: No such file or directory")
            unknown = sorted(set(params) - set(_PARAMETERS.split()))
            if unknown:
                raise HostError(what, f"jail: unknown parameter: {unknown[0]}")
            jid = next(self.numbers)
            self.jail_table[jid] = FakeJail(
                jid,
                name,
                str(path),
                hostname=params.get("host.hostname") or "",
                meta=params.get("meta") or "",
                interfaces=["lo0"] if "vnet" in params else None,
            )
            return jid

    async def remove_jail(self, jid: int, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("remove_jail", lock):
            jail = self.living(jid)
            if jail is None:
                return
            if any(jail.processes.values()):
                await asyncio.sleep(self.patience_s)
            jail.processes.clear()
            jail.gone_at_s = asyncio.get_running_loop().time() + self.dying_s
            self.reap()

    async def kill_processes(self, jid: int, signal: str = "SIGKILL", *, lock: Path | None = None) -> bool:
        """See ``JailHost``."""
        async with self.operation("kill_processes", lock):
            jail = self.jail_table.get(jid)
            if jail is None or not jail.processes:
                return False
            for pid, ignores_term in list(jail.processes.items()):
                if signal == "SIGKILL" or not ignores_term:
                    del jail.processes[pid]
            return True

    async def rules(self, jail_name: str) -> tuple[Rule, ...]:
        """See ``JailHost``."""
        async with self.operation("rules"):
            return tuple(rule for rule in self.rule_list if rule.jail == jail_name)

    async def add_rule(self, rule: Rule, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("add_rule", lock):
            what = f"set the limit {rule.text()}"
            if not self.racct:
                raise HostError(what, "rctl: RACCT/RCTL present, but disabled")
            refused = (rule.action == "deny" and rule.resource in _NO_DENY) or (
                rule.action == "throttle" and rule.resource not in _THROTTLE
            )
            if refused:
                raise HostError(what, "Operation not supported")
            amount = re.fullmatch(r"(\d+)([KMGT]?)B?", rule.amount.upper())
            if amount is None:
                raise HostError(what, f"invalid numeric value '{rule.amount}'")
            per = None if rule.per == "jail" else rule.per
            shown = str(int(amount[1]) * _UNITS[amount[2]])
            added = Rule(rule.jail, rule.resource, rule.action, shown, per)
            self.rule_list = [other for other in self.rule_list if not _replaces(added, other)]
            self.rule_list.append(added)

    async def remove_rules(self, jail_name: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``."""
        async with self.operation("remove_rules", lock):
            self.rule_list = [rule for rule in self.rule_list if rule.jail != jail_name]


def _replaces(added: Rule, other: Rule) -> bool:
    same = (added.jail, added.resource, added.action, added.per)
    return same == (other.jail, other.resource, other.action, other.per) and (
        added.action == "deny" or added.amount == other.amount
    )
