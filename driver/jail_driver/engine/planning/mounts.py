"""The plan's mounts: the view of Path, what lies below it, Nomad's directories, what the job adds. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from jail_driver.config.model import JailConfig
from jail_driver.engine.paths import TaskDir
from jail_driver.engine.planning.facts import HostFacts
from jail_driver.engine.planning.files import PLACES
from jail_driver.errors import ConfigError
from jail_driver.host.port import MountSeen
from jail_driver.model import TaskSpec
from jail_state.core.steps import Phase, Step, StepKind

_DEFAULT_RULESET = 4
"""devfsrules_jail, which jail(8) uses for mount.devfs where the job names none."""
_DEV = "/dev"


class _View:
    """Collects the mounts of one view, each after its mount point; keys stay unique where mounts stack.

    A read-only root cannot take a mount point through the view: it is made in Path itself, unless a mount of
    ours lies between.
    """

    def __init__(self, path: str, directory: TaskDir, *, readonly: bool) -> None:
        self.path = path
        self.view = str(directory.root)
        self.files = f"{directory.files}/"
        self.steps: list[Step] = []
        self._readonly = readonly
        self._seen: dict[str, int] = {}
        self._own: dict[str, str] = {}

    def show(self, inside: str, source: str, *, readonly: bool) -> None:
        """Add a part of Path itself; its mount point is known to be there."""
        self._mount(inside, "nullfs", source, ("ro",) if readonly or self._readonly else (), clean=False)

    def mount(
        self, inside: str, fstype: str, source: str, options: Iterable[str] = (), *, clean: bool = False
    ) -> None:
        """Add one mount, and before it its mount point.

        Args:
            inside: the mount point.
            fstype: as mount(8) takes it.
            source: what is mounted.
            options: single options.
            clean: nothing may be hidden by it.
        """
        covered = inside in self._seen
        # A file of the task's own is not there yet: it is made by the first step.
        is_file = source.startswith(self.files) or os.path.isfile(source)  # noqa: PTH113
        above = max((own for own in self._own if f"{inside}/".startswith(f"{own}/")), key=len, default=None)
        args = {
            "inside": inside,
            "make": "file" if fstype == "nullfs" and is_file else "directory",
            "path": self.path,
            "through": "path" if self._readonly and above is None else "view",
            "place": f"{self.path}{inside}" if above is None else f"{self._own[above]}{inside[len(above) :]}",
        }
        name = self._name(inside)
        self.steps.append(Step(f"mount-point {name}", StepKind.MOUNT_POINT, Phase.MOUNT, args))
        # Where two tasks make the same directory is told by what lies below: a file system of our own is
        # nobody else's.
        self._own[inside] = source if fstype == "nullfs" else f"{self.view}{inside}"
        self._mount(inside, fstype, source, options, clean=clean and not covered)

    def _name(self, inside: str) -> str:
        count = self._seen.get(inside, 0) + 1
        return inside if count == 1 else f"{inside} #{count}"

    def _mount(self, inside: str, fstype: str, source: str, options: Iterable[str], *, clean: bool) -> None:
        name = self._name(inside)
        self._seen[inside] = self._seen.get(inside, 0) + 1
        what = {
            "inside": inside,
            "fstype": fstype,
            "source": source,
            "options": list(options),
            "clean": clean,
        }
        self.steps.append(Step(f"mount {name}", StepKind.MOUNT, Phase.MOUNT, what))


def mount_steps(
    spec: TaskSpec, config: JailConfig, directory: TaskDir, facts: HostFacts, files: Iterable[str]
) -> tuple[Step, ...]:
    """Return the steps of the view, in the order of mounting.

    Args:
        spec: Nomad's directories, volumes and devices.
        config: Path and the job's own mounts.
        directory: where the view is.
        facts: the mount table.
        files: names of the files that the task gets of its own.

    Raises:
        ConfigError: a volume or a device that cannot be where it is wanted.
    """
    own = os.path.realpath(f"{spec.alloc_dir}/{spec.name}")
    path = os.path.realpath(config.path) if config.path else own
    view = _View(path, directory, readonly=config.path_readonly)
    view.show("/", path, readonly=False)
    below = _below(path, directory, facts)
    for inside, seen in below.items():
        view.show(inside, seen.target, readonly=seen.readonly)
    for inside, source in _task_dirs(spec, own).items():
        carried = below.get(inside)
        # Mounting a directory onto itself is EDEADLK: the default Path already shows it.
        if f"{path}{inside}" != source and (carried is None or carried.target != source):
            view.mount(inside, "nullfs", source, clean=True)
        elif config.path_readonly and carried is None:
            raise ConfigError(
                f"Path_readonly = true: Path is the task's own directory here, and {inside} would be read-only"
                " with it; name another Path"
            )
    for extra in config.mounts:
        view.mount(extra.target, extra.fstype, extra.source, extra.options)
    _special(view, config, wants_devices=bool(spec.devices))
    for volume in spec.mounts:
        view.mount(_place(volume.task_path), "nullfs", volume.host_path, ("ro",) if volume.readonly else ())
    for name in files:
        view.mount(PLACES[name], "nullfs", str(directory.files / name), ("ro",))
    return (*view.steps, *_devices(spec))


def ruleset_of(config: JailConfig) -> int:
    """Return the ruleset of the task's devfs."""
    return _DEFAULT_RULESET if config.devfs_ruleset is None else config.devfs_ruleset


def _special(view: _View, config: JailConfig, *, wants_devices: bool) -> None:
    if config.mount_devfs or wants_devices:
        view.mount(_DEV, "devfs", "devfs", (f"ruleset={ruleset_of(config)}",))
    if config.mount_fdescfs:
        view.mount(f"{_DEV}/fd", "fdescfs", "fdescfs")
    if config.mount_procfs:
        view.mount("/proc", "procfs", "procfs")


def _place(task_path: str) -> str:
    """Return where a volume goes: an absolute path inside, as Nomad's own drivers take it."""
    parts = [part for part in task_path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in task_path:
        raise ConfigError(f'volume_mount destination = "{task_path}": is no place inside the jail')
    return "/" + "/".join(parts)


def _devices(spec: TaskSpec) -> tuple[Step, ...]:
    """Return the steps that show device files: devfs(8) shows one, or not, under its own name alone."""
    steps = []
    for one in spec.devices:
        name = one.host_path.removeprefix(f"{_DEV}/")
        if name == one.host_path or one.task_path not in ("", one.host_path):
            raise ConfigError(
                f'device "{one.host_path}" as "{one.task_path}": devfs(8) shows a device below /dev under its'
                " own name only"
            )
        steps.append(Step(f"device {one.host_path}", StepKind.DEVICE, Phase.MOUNT, {"device": name}))
    return tuple(steps)


def _task_dirs(spec: TaskSpec, own: str) -> Mapping[str, str]:
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
        if not seen.target.startswith(prefix) or seen.target == path:
            continue  # Path = "/" is in the table itself
        ours = seen.target.startswith(f"{directory.path}/")
        foreign = any(
            seen.target.startswith(f"{keep}/") and not path.startswith(f"{keep}/") for keep in facts.keep_out
        )
        if not ours and not foreign:
            found["/" + seen.target.removeprefix(prefix)] = seen
    return found
