"""Nomad's side of one plugin: launched, configured, relaunched when it dies."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from jail_driver.agent.client import DriverClient
from jail_driver.agent.process import PluginProcess
from jail_driver.agent.stub import PluginError
from jail_driver.errors import UnavailableError
from jail_driver.model import Handle, Health

_RELAUNCHES: Final = 5
"""A plugin that dies more often than this has a defect that another launch does not mend."""

_GONE: Final = frozenset({"UNAVAILABLE", "CANCELLED", "UNKNOWN"})
"""How gRPC reports a server that died in the middle of a call."""

T = TypeVar("T")


class Session:
    """A running plugin.

    Args:
        config: the plugin's options, as the agent's configuration would give them.
        say: gets sentences for the user.
        verbose: whether to pass on all of the plugin's log, not only warnings.
    """

    def __init__(self, config: Mapping[str, Any], say: Callable[[str], None], *, verbose: bool) -> None:
        self._config = config
        self._say = say
        self._verbose = verbose
        self._process: PluginProcess | None = None
        self._client: DriverClient | None = None
        self._launches = 0
        self.handle: Handle | None = None
        """What StartTask returned; handed back to a relaunched plugin."""

    @property
    def client(self) -> DriverClient:
        """The connection.

        Raises:
            UnavailableError: ``open`` was not called.
        """
        if self._client is None:
            raise UnavailableError("the plugin is not running")
        return self._client

    async def open(self) -> None:
        """Launches the plugin, configures it for real work, and looks at its health.

        Raises:
            UnavailableError: it is not healthy; the text is its own reason.
            LaunchError: it did not come up.
            PluginError: it refused its options.
        """
        self._launches += 1
        self._process = await PluginProcess.launch(
            [sys.executable, "-I", "-m", "jail_driver"], on_log=self._log
        )
        self._client = DriverClient(self._process.address)
        await self._client.connect()
        await self._client.set_config(self._config, real=True)
        await self._client.init()
        async with contextlib.aclosing(self._client.fingerprints()) as fingerprints:  # type: ignore[type-var]
            first = await anext(fingerprints)
        if first.health is not Health.HEALTHY:
            raise UnavailableError(f"the driver is not healthy: {first.description}")

    async def call(self, rpc: Callable[[DriverClient], Awaitable[T]]) -> T:
        """Makes one call, repeated through a relaunched plugin if the plugin dies meanwhile, as Nomad does.

        Raises:
            PluginError: the plugin refused, or keeps dying.
        """
        while True:
            try:
                return await rpc(self.client)
            except PluginError as error:
                if error.code not in _GONE or not await self._died():
                    raise
                if self._launches > _RELAUNCHES:
                    raise
            await self._relaunch()

    async def close(self) -> None:
        """Ends the plugin as Nomad does."""
        if self._client is not None:
            try:
                await self._client.shutdown()
            except PluginError as error:
                self._say(f"the plugin did not end by itself: {error}")
            await self._client.close()
        if self._process is not None:
            await self._process.end()

    async def _died(self) -> bool:
        if self._process is None:
            return False
        try:
            await self._process.wait(1.0)
        except TimeoutError:
            return False
        return True

    async def _relaunch(self) -> None:
        if self._process is not None:
            self._say(f"the plugin died (status {self._process.status}); a new one takes over")
        if self._client is not None:
            await self._client.close()
        await self.open()
        if self.handle is not None:
            await self.client.recover(self.handle)

    def _log(self, line: Mapping[str, Any]) -> None:
        level = str(line.get("@level", "debug"))
        if self._verbose or level in {"warn", "error"}:
            more = " ".join(f"{key}={value}" for key, value in line.items() if not key.startswith("@"))
            self._say(f"plugin {level}: {line.get('@message', '')} {more}".rstrip())
