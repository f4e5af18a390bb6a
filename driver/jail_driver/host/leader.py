"""Becomes a command that runs in a jail beside main: ``python -I -S leader.py RECORD TTY LOCALE PROGRAM…``.

Before the exec it writes down who it is, so that a plugin that was killed leaves no command behind for
long: the next one finds the record. TTY is ``1`` if descriptor 0 is a terminal that the session is to have
as its controlling one (tty(4): TIOCSCTTY; opening it is enough on Linux only). LOCALE is ``1`` if the
environment names LC_CTYPE itself; Python sets it for its own use in the C locale (PEP 538).
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios


def main() -> None:
    """Writes the record and becomes the program.

    Raises:
        OSError: the record cannot be written, or there is no such program: nothing was run.
    """
    record, terminal, locale, *argv = sys.argv[1:]
    sys.path.insert(0, os.path.realpath(f"{__file__}/../../.."))
    from jail_driver.supervisor import procid  # noqa: PLC0415  # found only now

    own = procid.newborn_id(os.getpid(), "")
    fd = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.write(fd, f"{own.pid} {own.started_ticks}".encode())
    os.close(fd)
    if terminal == "1":
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if locale != "1":
        os.environ.pop("LC_CTYPE", None)
    os.execv(argv[0], argv)  # noqa: S606  # becoming the program is what this is for


if __name__ == "__main__":
    main()
