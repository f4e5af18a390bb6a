"""BasePlugin: what Nomad asks of every plugin (plugins/base/proto/base.proto)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jail_driver.plugin.pb import base_pb2 as pb
from jail_driver.rpc import convert, schema
from jail_driver.rpc.about import PLUGIN_API_VERSION

if TYPE_CHECKING:
    from jail_driver.rpc.about import About
    from jail_driver.rpc.work import Work

SERVICE = pb.DESCRIPTOR.services_by_name["BasePlugin"]


class BasePlugin:
    """Translates the base RPCs.

    Args:
        about: name, version and schemas.
        work: the service, needed by SetConfig alone.
    """

    def __init__(self, about: About, work: Work) -> None:
        self._about = about
        self._work = work

    async def plugin_info(self, _request: pb.PluginInfoRequest) -> pb.PluginInfoResponse:
        """Names type, version and API versions."""
        return pb.PluginInfoResponse(
            type=pb.PluginType.DRIVER,
            plugin_api_versions=[PLUGIN_API_VERSION],
            plugin_version=self._about.version,
            name=self._about.name,
        )

    async def config_schema(self, _request: pb.ConfigSchemaRequest) -> pb.ConfigSchemaResponse:
        """Returns the schema of the agent's plugin block."""
        return pb.ConfigSchemaResponse(spec=schema.to_proto(self._about.plugin_schema()))

    async def set_config(self, request: pb.SetConfigRequest) -> pb.SetConfigResponse:
        """Takes the plugin's options; the launch that only validates them carries no nomad_config.

        Raises:
            ConfigError: an option that cannot work.
        """
        options = convert.config_map(request.msgpack_config, "plugin config")
        real = request.HasField("nomad_config")
        await self._work.finish(self._work.service.configure(options, real=real))
        return pb.SetConfigResponse()
