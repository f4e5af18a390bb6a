"""The task's own files: the first thing to be made, the last to go."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override

from jail_driver.engine import private as private_file
from jail_driver.engine.paths import TaskDir
from jail_driver.engine.steps.base import Context, Handler, Result
from jail_driver.errors import HostError
from jail_state.core.steps import Step


class Files(Handler):
    """Makes the task's directory, and puts down what its teardown will owe, before the first effect."""

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        if ctx.launch is None:
            raise HostError("start the task", "the driver restarted and Nomad did not repeat StartTask")
        directory = ctx.directory
        try:
            directory.path.mkdir(mode=0o700, exist_ok=True)
            directory.root.mkdir(mode=0o755, exist_ok=True)
            private_file.write(directory.private, ctx.launch.private)
            _write_files(directory.files, step.args.get("files", {}))
        except OSError as error:
            raise HostError(f"make {error.filename}", error.strerror or "refused") from error
        ctx.private = ctx.launch.private
        return {}


class FilesRemove(Handler):
    """Removes what the driver put into the task's directory; never descends into the view.

    ``rmdir`` of a mount point is refused by the kernel, and nothing is ever deleted below ``root``: a mount
    that is still there can lose no file.
    """

    @override
    async def perform(self, ctx: Context, step: Step, before: Result) -> Result:
        remove_files(ctx.directory)
        return {}


def remove_files(directory: TaskDir) -> None:
    """Remove a task's own files; what is gone already is fine.

    Raises:
        HostError: something is in the way, such as a mount.
    """
    try:
        for file in (directory.socket, directory.private, directory.private.with_suffix(".tmp")):
            file.unlink(missing_ok=True)
        for folder in (directory.supervisor, directory.locks, directory.files):
            _remove_flat(folder)
        for folder in (directory.root, directory.path):
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()
    except OSError as error:
        raise HostError(f"remove {error.filename}", error.strerror or "refused") from error


def _write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write what is mounted into the jail: readable by every user inside, changed by none."""
    if not files:
        return
    folder.mkdir(mode=0o755, exist_ok=True)
    for name, text in files.items():
        temporary = folder / f"{name}.tmp"
        temporary.write_text(text)
        temporary.chmod(0o644)
        temporary.rename(folder / name)


def _remove_flat(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for file in folder.iterdir():
            file.unlink(missing_ok=True)
        folder.rmdir()
