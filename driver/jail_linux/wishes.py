"""What a jail(8) command line asks for, checked as far as it can be without looking at any jail."""

import _socket

from jail_linux import parameters
from jail_linux.failure import Failure

# Parameters that jail(8) itself acts on instead of the kernel. The driver journals these steps on its own.
PSEUDO = frozenset({
    "allow.dying", "depend", "exec.clean", "exec.consolelog", "exec.created", "exec.fib", "exec.jail_user",
    "exec.poststart", "exec.poststop", "exec.prepare", "exec.prestart", "exec.prestop", "exec.release",
    "exec.start", "exec.stop", "exec.system_jail_user", "exec.system_user", "exec.timeout", "interface",
    "ip_hostname", "mount", "mount.devfs", "mount.fdescfs", "mount.fstab", "mount.procfs", "stop.timeout",
    "vnet.interface", "zfs.dataset",
})  # fmt: skip


class Wishes:
    """Parameters of one jail, as given.

    Attributes:
        name: The name parameter; None if there was none.
        jid: The jid parameter; None if there was none.
        params: Checked values by kernel name, without name and jid.
        command: The argument list of `command=`, if any.
    """

    __slots__ = ("command", "jid", "name", "params")

    def __init__(self) -> None:
        self.name: str | None = None
        self.jid: int | None = None
        self.params: dict[str, str] = {}
        self.command: list[str] = []


def read(words: list[str]) -> Wishes:
    """Read `param=value` words.

    Args:
        words: From the command line; everything after `command=` belongs to the command.

    Returns:
        The checked wishes.

    Raises:
        Failure: With jail(8)'s words for the first thing wrong.
    """
    wishes = Wishes()
    for index, word in enumerate(words):
        name, equals, text = word.partition("=")
        value = text if equals else None
        if name == "command":
            wishes.command = [text, *words[index + 1 :]]
            return wishes
        _take(wishes, name, value)
    return wishes


def _take(wishes: Wishes, name: str, value: "str | None") -> None:
    if name == "name":
        if wishes.name is not None:
            raise Failure('jail: cannot redefine parameter "name".')
        wishes.name = parameters.checked("name", value)
    elif name == "jid":
        wishes.jid = int(parameters.checked("jid", value))
    elif parameters.is_keyed(name):
        head, _, key = name.partition(".")
        old = wishes.params.get(head, "")
        wishes.params[head] = parameters.checked(head, parameters.set_keyed(old, key, value or ""))
    elif name in parameters.SETTABLE:
        wishes.params[name] = _addresses(name, value) or parameters.checked(name, value)
    elif (positive := parameters.without_no(name)) in parameters.SETTABLE and positive:
        wishes.params[positive] = "true" if value in {"0", "false"} else "false"
    elif name in PSEUDO:
        raise Failure(
            f"jail: {name}: done by jail(8), not by the kernel; the Linux stand-in does not keep it"
        )
    else:
        raise Failure(f"jail: unknown parameter: {name}")


def _addresses(name: str, value: "str | None") -> str:
    """Check an address list; the interface form `lo0|127.0.0.2/32` is jail(8)'s own and not kept."""
    kind = parameters.KINDS[name]
    if kind not in {parameters.ADDR4, parameters.ADDR6} or not value:
        return ""
    family, label = (_socket.AF_INET, "IPv4") if kind == parameters.ADDR4 else (_socket.AF_INET6, "IPv6")
    checked = []
    for text in value.split(","):
        if "|" in text or "/" in text:
            raise Failure(f"jail: {name}: {text}: the Linux stand-in takes plain addresses only")
        try:
            checked.append(_socket.inet_ntop(family, _socket.inet_pton(family, text)))
        except OSError:
            raise Failure(f"jail: {name}: not an {label} address: {text}") from None
    return ",".join(checked)
