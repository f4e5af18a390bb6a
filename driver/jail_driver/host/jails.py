"""Jails by jail(8), jls(8) and pkill(1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from jail_driver.errors import ConfigError
from jail_driver.host import parse
from jail_driver.host.command import Runner
from jail_driver.host.errors import ExistsError, HostError, MissingError
from jail_driver.host.port import JailSeen
from jail_driver.host.shell import HostCommands, Listing, refusal, says
from jail_driver.host.tools import Tools

_COLUMNS = ("jid", "name", "path", "host.hostname", "dying")
_PARAMETER = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_SIGNAL = re.compile(r"SIG[A-Z0-9]{2,8}")
_WITHOUT_A_NAME = {"THR": 32, "LIBRT": 33}
"""pkill(1) knows names up to 31 (pkill.c: NSIG), and any number; these are FreeBSD's (sys/signal.h)."""
_NOT_THE_KERNELS = re.compile(
    r"exec\..*|mount(\..*)?|vnet\.interface|interface|depend|stop\.timeout|command|ip_hostname|zfs\.dataset"
    r"|name|path|persist|nopersist|allow\.dying"
)


class JailCommands(HostCommands):
    """The part of the adapter that makes, shows and removes jails."""

    def __init__(self, tools: Tools, runner: Runner | None = None) -> None:
        super().__init__(tools, runner)
        self._jails = Listing(self._list_jails)
        self._columns: tuple[str, ...] | None = None

    async def kernel_parameters(self) -> frozenset[str]:
        """See ``JailHost``: ``sysctl -N security.jail.param`` (sysctl(8), jail(8))."""
        done = await self._sysctl("-N", "security.jail.param")
        return parse.parameters(done.check("list the kernel's jail parameters").stdout)

    async def jails(self, *, dying: bool = True) -> tuple[JailSeen, ...]:
        """See ``JailHost``: ``jls -d --libxo json PARAM...`` (jls(8))."""
        seen = await self._jails.get()
        return seen if dying else tuple(jail for jail in seen if not jail.dying)

    async def create_jail(
        self, name: str, path: Path, params: Mapping[str, str | None], *, lock: Path | None = None
    ) -> int:
        """See ``JailHost``: ``jail -i -c name=N path=P persist K=V...`` (jail(8); -i prints the jid)."""
        arguments = [kernel_argument(key, value) for key, value in params.items()]
        done = await self._change(
            self._tools.jail, "-i", "-c", f"name={name}", f"path={path}", "persist", *arguments, lock=lock
        )
        what = f"create jail {name}"
        if not done.ok:
            kinds: dict[str, type[HostError]] = {"already exists": ExistsError}
            if says(done, f"path {path}:"):
                kinds |= {"No such file or directory": MissingError, "Not a directory": MissingError}
            raise refusal(done, what, kinds)
        try:
            return int(done.stdout)
        except ValueError as error:
            raise HostError(what, f"jail -i printed no jid: {done.stdout!r}") from error

    async def remove_jail(self, jid: int, *, lock: Path | None = None) -> None:
        """See ``JailHost``: ``jail -R JID`` (jail(8): without the configuration file, so no hooks)."""
        done = await self._change(self._tools.jail, "-R", str(jid), lock=lock)
        if not done.ok and not says(done, f'"{jid}" not found'):
            raise refusal(done, f"remove jail {jid}", {})

    async def kill_processes(self, jid: int, signal: str = "SIGKILL", *, lock: Path | None = None) -> bool:
        """See ``JailHost``: ``pkill -SIGNAL -j JID`` (pkill(1): status 1 means that none matched).

        The signal goes by its name: under FreeBSD's Linux ABI our numbers are Linux's.
        """
        if not _SIGNAL.fullmatch(signal):
            raise ConfigError(f"{signal!r} is not the name of a signal, such as SIGTERM")
        done = await self._change(self._tools.pkill, pkill_flag(signal), "-j", str(jid), lock=lock)
        if done.status == 1 or says(done, "Invalid jail ID"):
            return False
        # Older ones stop at a process that ends while they signal it: there was one.
        if done.ok or says(done, "No such process"):
            return True
        raise refusal(done, f"signal the processes of jail {jid}", {})

    async def _list_jails(self) -> tuple[JailSeen, ...]:
        if self._columns is None:
            # `meta` came with FreeBSD 15.0, and jls refuses a parameter that the kernel lacks.
            meta = {"meta"} & await self.kernel_parameters()
            self._columns = (*_COLUMNS, *meta)
        done = await self._look(self._tools.jls, "-d", "--libxo", "json", *self._columns)
        return parse.jails(done.check("list jails").stdout)


def pkill_flag(signal: str) -> str:
    """Returns the argument of pkill(1) that names a signal.

    >>> pkill_flag("SIGHUP"), pkill_flag("SIGTHR")
    ('-HUP', '-32')
    """
    name = signal.removeprefix("SIG")
    number = _WITHOUT_A_NAME.get(name)
    return f"-{name if number is None else number}"


def kernel_argument(key: str, value: str | None) -> str:
    """Returns one argument of jail(8), which takes any text as a value.

    Raises:
        ConfigError: a name that jail(8) itself would act on, or take for something else; an address with
            an interface, which jail(8) would add and remove by itself.
    """
    if not _PARAMETER.fullmatch(key) or _NOT_THE_KERNELS.fullmatch(key):
        raise ConfigError(f"{key!r} is not a jail parameter of the kernel: it cannot be set on a jail")
    if value is None:
        return key
    if key in {"ip4.addr", "ip6.addr"} and not set(value).isdisjoint("|/"):
        raise ConfigError(f"{key}={value!r}: plain addresses only, the driver adds them to interfaces itself")
    return f"{key}={value}"
