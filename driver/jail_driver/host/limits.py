"""Limits by rctl(8), and what sysctl(8) and kenv(1) tell of the kernel."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from jail_driver.errors import ConfigError
from jail_driver.host import parse
from jail_driver.host.errors import HostError
from jail_driver.host.port import Rule
from jail_driver.host.shell import HostCommands, refusal, says
from jail_driver.supervisor import boot

# "RACCT/RCTL present, but disabled" or "support not present in kernel" (recorded; rctl.c).
_OFF = "rctl: RACCT/RCTL"


class LimitCommands(HostCommands):
    """The part of the adapter that deals with resource limits."""

    async def rules(self, jail_name: str) -> tuple[Rule, ...]:
        """See ``JailHost``: ``rctl jail:NAME`` (rctl(8))."""
        done = await self._look(self._tools.rctl, _subject(jail_name))
        if not done.ok and says(done, _OFF):
            return ()
        return parse.rules(done.check(f"list the limits of jail {jail_name}").stdout, jail_name)

    async def add_rule(self, rule: Rule, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``rctl -a jail:NAME:RESOURCE:ACTION=AMOUNT[/PER]`` (rctl(8))."""
        _subject(rule.jail)
        done = await self._change(self._tools.rctl, "-a", rule.text(), lock=lock)
        if not done.ok:
            raise refusal(done, f"set the limit {rule.text()}", {})

    async def remove_rules(self, jail_name: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``rctl -r jail:NAME`` (rctl(8); "No such process" means that there is none)."""
        done = await self._change(self._tools.rctl, "-r", _subject(jail_name), lock=lock)
        if not done.ok and not says(done, "No such process", _OFF):
            raise refusal(done, f"remove the limits of jail {jail_name}", {})

    async def racct_enabled(self) -> bool:
        """See ``JailHost``: ``sysctl -n kern.racct.enable`` (racct(9); a tunable, set at boot only)."""
        done = await self._sysctl("-n", "kern.racct.enable")
        return done.ok and done.stdout.strip() == b"1"

    async def kernel_value(self, name: str) -> str | None:
        """See ``JailHost``: ``sysctl -n NAME`` (sysctl(8); status 1 where there is no such name)."""
        done = await self._sysctl("-n", name)
        return parse.text(done.stdout).strip() if done.ok else None

    async def bind_cpus(self, jid: int, cpus: str, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``cpuset -l CPUS -j JID`` (cpuset(1))."""
        done = await self._change(self._tools.cpuset, "-l", cpus, "-j", str(jid), lock=lock)
        done.check(f"bind jail {jid} to the processors {cpus}")

    async def release(self) -> str:
        """See ``JailHost``: ``sysctl -n kern.osrelease`` (sysctl(3))."""
        done = await self._sysctl("-n", "kern.osrelease")
        return parse.text(done.check("read the kernel's release").stdout).strip()

    async def boot_id(self) -> str:
        """See ``JailHost``: the name that the supervisors use too, ``jail_driver.supervisor.boot``."""
        try:
            return await asyncio.to_thread(boot.boot_id, self._tools.sysctl, self._tools.kenv)
        except (OSError, subprocess.SubprocessError) as error:
            raise HostError("tell which boot this is", str(error)) from error


def _subject(jail_name: str) -> str:
    if not jail_name or ":" in jail_name:
        raise ConfigError(f"{jail_name!r} cannot be the subject of a limit: it is empty or holds a colon")
    return f"jail:{jail_name}"
