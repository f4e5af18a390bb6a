"""Which file systems below ``Path`` come along into a task's view."""

from __future__ import annotations

from pathlib import Path

import pytest

from jail_driver.config.model import JailConfig
from jail_driver.engine.paths import TaskDir
from jail_driver.engine.planning.facts import HostFacts
from jail_driver.engine.planning.mounts import mount_steps
from jail_driver.host.port import MountSeen
from jail_driver.model import Resources, TaskSpec
from jail_state.core.steps import StepKind

STATE, ALLOCS = "/var/db/x", "/opt/nomad/alloc"
TABLE = (
    MountSeen("zroot/ROOT", "/", "zfs"),
    MountSeen("devfs", "/dev", "devfs"),
    MountSeen("zroot/jails", "/jails", "zfs"),
    MountSeen("zroot/jails/web", "/jails/web", "zfs"),
    MountSeen("zroot/jails/web2", "/jails/web2", "zfs", readonly=True),
    MountSeen("zroot/jails/web/usr", "/jails/web/usr", "zfs", readonly=True),
    MountSeen("/jails/db", f"{STATE}/t/other/root", "nullfs"),
    MountSeen("tmpfs", f"{ALLOCS}/b/web/secrets", "tmpfs"),
)


def shown(path: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """The nullfs mounts that show ``Path``: place, source and options, in order."""
    spec = TaskSpec(
        id="a/web/1", name="web", alloc_id="a", job_name="j", job_id="j", task_group="g", namespace="default",
        node_name="n", node_id="n", user="", env={}, device_env={}, config={}, resources=Resources(), mounts=(),
        devices=(), alloc_dir=f"{ALLOCS}/a", stdout_path="/dev/null", stderr_path="/dev/null",
    )  # fmt: skip
    directory = TaskDir(Path(f"{STATE}/t/own"), Path(f"{STATE}/s/own"))
    facts = HostFacts("boot", TABLE, (STATE, ALLOCS))
    steps = mount_steps(spec, JailConfig(path=path), directory, facts, ())
    found = [step.args for step in steps if step.kind is StepKind.MOUNT]
    return [
        (args["inside"], args["source"], tuple(args["options"]))
        for args in found
        if args["inside"] not in ("/alloc", "/local", "/secrets")
    ]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (
            "/jails/web",
            [("/", "/jails/web", ()), ("/usr", "/jails/web/usr", ("ro",))],
        ),
        (
            "/",
            [
                ("/", "/", ()),
                ("/dev", "/dev", ()),
                ("/jails", "/jails", ()),
                ("/jails/web", "/jails/web", ()),
                ("/jails/web2", "/jails/web2", ("ro",)),
                ("/jails/web/usr", "/jails/web/usr", ("ro",)),
            ],
        ),
    ],
    ids=["a jail", "the host"],
)
def test_what_lies_below(path: str, wanted: list[tuple[str, str, tuple[str, ...]]]) -> None:
    """Path's own entry in the table is no part of it, even if it is /; other tasks' mounts never come along."""
    assert shown(path) == wanted
