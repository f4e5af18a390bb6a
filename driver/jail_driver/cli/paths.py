"""Where the state is, for a person who does not say."""

from __future__ import annotations

import os
from pathlib import Path


def state_directory(given: Path | None) -> Path:
    """Returns the state directory: the option, else the plugin's own default for this user."""
    from jail_driver.config.options import default_state_dir  # noqa: PLC0415

    if given is not None:
        return given.absolute()
    return Path(default_state_dir(root=os.geteuid() == 0, env=os.environ))
