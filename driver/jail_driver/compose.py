"""The composition root: the only place that puts the parts together. Cheap to call, heavy only in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from jail_driver.rpc.about import About


def about() -> About:
    """Return what the plugin says of itself."""
    from jail_driver.config import schema  # noqa: PLC0415  # as late as the first question
    from jail_driver.rpc.about import About  # noqa: PLC0415

    return About(plugin_schema=schema.plugin_schema, task_schema=schema.task_schema, exec=True)


def serve() -> NoReturn:
    """Serve as Nomad's plugin until told to end."""
    from jail_driver.activity import Activity  # noqa: PLC0415
    from jail_driver.plugin.serve import serve as serve_plugin  # noqa: PLC0415
    from jail_driver.service import DriverService  # noqa: PLC0415

    activity = Activity()

    def make() -> DriverService:
        # The engine is loaded by the first RPC that needs it: two of Nomad's three launches only ask.
        from jail_driver.engine.service import JailDriver  # noqa: PLC0415

        return JailDriver(activity)

    serve_plugin(make, about(), activity=activity)
