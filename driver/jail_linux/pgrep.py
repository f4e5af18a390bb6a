"""pgrep(1): list processes by jail, name, user or parent."""

from jail_linux.pkill import list_main as main

__all__ = ["main"]
