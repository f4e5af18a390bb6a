"""sysctl(8): the few names that a jail driver asks for."""

from jail_linux import options, sysctls
from jail_linux.failure import Failure
from jail_linux.program import out, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_USAGE = [
    "usage: sysctl [-bdehiNnoqTtWx] [ -B <bufsize> ] [-f filename] name[=value] ...",
    "       sysctl [-bdehNnoqTtWx] [ -B <bufsize> ] -a",
]


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run sysctl.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status: 1 if any name is unknown.

    Raises:
        Failure: With sysctl's words, status 1.
    """
    found, words = options.parse("sysctl", "AabB:deF:f:hij:lNnoqTtWwXx", arguments, _USAGE)
    letters = {letter for letter, _ in found}
    if "a" in letters:
        words = words or [""]
    if not words:
        raise Failure(*_USAGE)
    table = sysctls.table(settings, [word.partition("=")[0] for word in words])
    status = 0
    for word in words:
        name, equals, _ = word.partition("=")
        shown = _select(table, name, letters)
        if not shown:
            if "i" not in letters:
                say(f"sysctl: unknown oid '{name}'")
                status = 1
        elif equals:
            say(f"sysctl: oid '{name}' is a read only tunable")
            say("sysctl: Tunable values are set in /boot/loader.conf")
            status = 1
        else:
            out("".join(_line(node, letters) for node in shown))
    return status


def _select(table: "dict[str, sysctls.Node]", name: str, letters: set[str]) -> "list[sysctls.Node]":
    """One leaf by its name, or all below a node; -N names inner nodes too, -d and -t also the one asked for."""
    if name in table and not table[name].is_node:
        return [table[name]]
    below = [node for key, node in table.items() if not name or key == name or key.startswith(name + ".")]
    if letters & {"d", "t"} or ("N" in letters and "a" in letters):
        return below
    if "N" in letters:
        return [node for node in below if node.name != name]
    return [node for node in below if not node.is_node and node.text is not None]


def _line(node: "sysctls.Node", letters: set[str]) -> str:
    if "b" in letters:
        # `out` turns surrogates back into the bytes that they stand for.
        raw = node.raw if node.raw is not None else (node.text or "").encode()
        return raw.decode("utf-8", "surrogateescape")
    if "N" in letters:
        return f"{node.name}\n"
    value = node.kind if "t" in letters else node.description if "d" in letters else node.text or ""
    if node.text is None and not letters & {"t", "d"}:
        return ""
    if "n" in letters:
        return f"{value}\n"
    return f"{node.name}{'=' if 'e' in letters else ': '}{value}\n"
