"""The plan's mounts: the view of Path, what lies below it, Nomad's directories, what the job adds. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable

from jail_driver.config.model import JailConfig
from jail_driver.engine.paths import TaskDir
from jail_driver.engine.planning.facts import HostFacts
from jail_driver.host.port import MountSeen
from jail_driver.model import TaskSpec
from jail_state.core.steps import Phase, Step, StepKind

_DEFAULT_RULESET = 4
"""devfsrules_jail, which jail(8) uses for mount.devfs where the job names none."""


class _View:
    """Collects the mounts of one view, each after its mount point; keys stay unique where mounts stack."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.steps: list[Step] = []
        self._seen: dict[str, int] = {}

    def mount(
        self, inside: str, fstype: str, source: str, options: Iterable[str] = (), *, point: bool = True
    ) -> None:
        """Add one mount, and before it its mount point unless that is known to be there."""
        self._seen[inside] = count = self._seen.get(inside, 0) + 1
        name = inside if count == 1 else f"{inside} #{count}"
        if point:
            make = "file" if fstype == "nullfs" and os.path.isfile(source) else "directory"  # noqa: PTH113
            args = {"inside": inside, "make": make, "path": self.path}
            self.steps.append(Step(f"mount-point {name}", StepKind.MOUNT_POINT, Phase.MOUNT, args))
        what = {"inside": inside, "fstype": fstype, "source": source, "options": list(options)}
        self.steps.append(Step(f"mount {name}", StepKind.MOUNT, Phase.MOUNT, what))


def mount_steps(spec: TaskSpec, config: JailConfig, directory: TaskDir, facts: HostFacts) -> tuple[Step, ...]:
    """Return the steps of the view, in the order of mounting."""
    own = os.path.realpath(f"{spec.alloc_dir}/{spec.name}")
    path = os.path.realpath(config.path) if config.path else own
    view = _View(path)
    view.mount("/", "nullfs", path, point=False)
    below = _below(path, directory, facts)
    for inside, seen in below.items():
        view.mount(inside, "nullfs", seen.target, ("ro",) if seen.readonly else (), point=False)
    for extra in config.mounts:
        view.mount(extra.target, extra.fstype, extra.source, extra.options)
    if config.mount_devfs:
        ruleset = _DEFAULT_RULESET if config.devfs_ruleset is None else config.devfs_ruleset
        view.mount("/dev", "devfs", "devfs", (f"ruleset={ruleset}",))
    if config.mount_fdescfs:
        view.mount("/dev/fd", "fdescfs", "fdescfs")
    if config.mount_procfs:
        view.mount("/proc", "procfs", "procfs")
    for inside, source in _task_dirs(spec, own).items():
        carried = below.get(inside)
        # Mounting a directory onto itself is EDEADLK: the default Path already shows it.
        if f"{path}{inside}" != source and (carried is None or carried.target != source):
            view.mount(inside, "nullfs", source)
    for volume in spec.mounts:
        view.mount(volume.task_path, "nullfs", volume.host_path, ("ro",) if volume.readonly else ())
    return tuple(view.steps)


def _task_dirs(spec: TaskSpec, own: str) -> dict[str, str]:
    """Nomad's directories by their place inside (client/allocdir/task_dir.go: FS isolation "image")."""
    return {
        "/alloc": os.path.realpath(f"{spec.alloc_dir}/alloc"),
        "/local": f"{own}/local",
        "/secrets": f"{own}/secrets",
    }


def _below(path: str, directory: TaskDir, facts: HostFacts) -> dict[str, MountSeen]:
    """The file systems mounted below Path, in the order of mounting: nullfs does not carry them.

    Nomad's own mounts of other tasks and our views are never among them, even if Path is the whole host.
    """
    prefix = path.rstrip("/") + "/"
    found: dict[str, MountSeen] = {}
    for seen in facts.mounts:
        if not seen.target.startswith(prefix):
            continue
        ours = seen.target.startswith(f"{directory.path}/")
        foreign = any(
            seen.target.startswith(f"{keep}/") and not path.startswith(f"{keep}/") for keep in facts.keep_out
        )
        if not ours and not foreign:
            found["/" + seen.target.removeprefix(prefix)] = seen
    return found
