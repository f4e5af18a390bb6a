"""How a stand-in refuses: FreeBSD's words and FreeBSD's exit status."""

import errno
import os

# sys/errno.h texts of FreeBSD where Linux says it otherwise (lib/libc/gen/errlst.c).
_FREEBSD_TEXT = {
    errno.EBUSY: "Device busy",
    errno.EDEADLK: "Resource deadlock avoided",
    errno.ENXIO: "Device not configured",
    errno.EADDRNOTAVAIL: "Can't assign requested address",
    errno.ERANGE: "Result too large",
    errno.EOPNOTSUPP: "Operation not supported",
    errno.EXDEV: "Cross-device link",
    errno.ENODEV: "Operation not supported by device",
}


def error_text(number: int) -> str:
    """Say an errno as FreeBSD's strerror(3) does.

    Args:
        number: A Linux errno.

    Returns:
        The text, without a full stop.
    """
    return _FREEBSD_TEXT.get(number) or os.strerror(number)


class Failure(Exception):  # noqa: N818  # it is how a command ends, not always an error
    """A command ends with words on standard error and a status.

    Attributes:
        lines: What to print, one entry a line, already with the command's name in front.
        status: The exit status.
    """

    def __init__(self, *lines: str, status: int = 1) -> None:
        super().__init__(*lines)
        self.lines = lines
        self.status = status
