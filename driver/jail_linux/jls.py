"""jls(8): list jails."""

from jail_linux import lifetime, options, parameters
from jail_linux.failure import Failure
from jail_linux.jsontext import quoted
from jail_linux.program import out, say
from jail_linux.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.registry import Jail
    from jail_linux.settings import Settings

_USAGE = ["jls: usage: jls [-dhNnqv] [-j jail] [param ...]", "            jls -c [-d] -j jail"]
_VERSION = '{"__version": "2", "jail-information": {"jail": ['
_HEADER = "   JID  IP Address      Hostname                      Path\n"
_HEADER_NAMES = " JID             IP Address      Hostname                      Path\n"
_HEADER_VERBOSE = (
    "   JID  Hostname                      Path\n"
    "        Name                          State\n"
    "        CPUSetID\n"
    "        IP Address(es)\n"
)


class Style:
    """How to print: the options of one call."""

    def __init__(self, style: str, found: list[tuple[str, str]]) -> None:
        letters = {letter for letter, _ in found}
        self.json = style == "json"
        self.skip = "s" in letters
        self.name_value = bool(letters & {"n", "s"})
        self.quote = bool(letters & {"q", "s"})
        self.header = "h" in letters
        self.verbose = "v" in letters and not letters & {"n", "h", "s"}
        self.by_name = "N" in letters


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run jls.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status.

    Raises:
        Failure: With jls's words and status.
    """
    style_name, arguments = options.take_libxo("jls", arguments)
    found, names = options.parse("jls", "acdj:hNnqsv", arguments, _USAGE)
    letters = dict(found)
    wanted = letters.get("j")
    dying = "d" in letters or "a" in letters
    if "c" in letters:
        if names or wanted is None:
            raise Failure("jls: -c does not accept non-option arguments", *_USAGE)
        return 0 if [jail for jail in _read(settings, wanted) if dying or not jail.dying] else 1
    for name in names:
        if name != "all" and name not in parameters.KINDS and not parameters.is_keyed(name):
            raise Failure(f"jls: unknown parameter: {name}")
    style = Style(style_name, found)
    jails = _read(settings, wanted)
    problem = None
    if wanted is not None and (not jails or (jails[0].dying and not dying)):
        problem = _missing(wanted, found=bool(jails))
    shown = [] if problem else [jail for jail in jails if dying or not jail.dying]
    text = _render(style, _expand(names, style), shown)
    if problem and style.json:
        text = ""
    out(text)
    if problem:
        say(problem)
        return 1
    return 0


def _missing(wanted: str, *, found: bool) -> str:
    label = wanted if wanted.isdigit() else f'"{wanted}"'
    return f"jls: jail {label} is dying" if found else f"jls: jail {label} not found"


def _read(settings: "Settings", wanted: "str | None") -> "list[Jail]":
    with Registry(settings, exclusive=False) as registry:
        due = lifetime.is_due(registry)
        if not due:
            return _select(registry, wanted)
    with Registry(settings, exclusive=True) as registry:
        lifetime.sweep(registry)
        return _select(registry, wanted)


def _select(registry: Registry, wanted: "str | None") -> "list[Jail]":
    if wanted is None:
        return registry.all()
    jail = registry.named(wanted)
    return [jail] if jail else []


def _expand(names: list[str], style: Style) -> list[str]:
    if not names and (style.name_value or style.header):
        names = ["all"]
    shown: list[str] = []
    for name in names:
        for one in parameters.listing() if name == "all" else [name]:
            if one not in shown:
                shown.append(one)
    return shown


def _render(style: Style, names: list[str], jails: "list[Jail]") -> str:
    if style.json:
        records = [_json_record(style, names, jail) for jail in jails]
        return _VERSION + ", ".join(records) + "]}}\n"
    if names:
        header = " ".join(names) + "\n" if style.header else ""
        return header + "".join(_line(style, names, jail) + "\n" for jail in jails)
    if style.verbose:
        return _HEADER_VERBOSE + "".join(map(_verbose, jails))
    if style.by_name:
        return _HEADER_NAMES + "".join(f" {jail.name:<15} {_default(jail)}\n" for jail in jails)
    return _HEADER + "".join(f"{jail.jid:6d}  {_default(jail)}\n" for jail in jails)


def _addresses(jail: "Jail", name: str) -> list[str]:
    value = parameters.value_of(jail, name)
    return value.split(",") if value else []


def _default(jail: "Jail") -> str:
    first = (_addresses(jail, "ip4.addr") or [""])[0]
    host = parameters.value_of(jail, "host.hostname")
    return f"{first:<15.15} {host:<29.29} {jail.path:.74}"


def _verbose(jail: "Jail") -> str:
    host = parameters.value_of(jail, "host.hostname")
    lines = [
        f"{jail.jid:6d}  {host:<29.29} {jail.path:.74}",
        f"        {jail.name:<29.29} {'DYING' if jail.dying else 'ACTIVE'}",
        f"        {parameters.value_of(jail, 'cpuset.id')}",
    ]
    lines += [f"        {address}" for address in _addresses(jail, "ip4.addr") + _addresses(jail, "ip6.addr")]
    return "\n".join(lines) + "\n"


def _skipped(style: Style, jail: "Jail", name: str) -> bool:
    if not style.skip:
        return False
    if name not in parameters.SETTABLE:
        return True
    head = name.partition(".")[0]
    has_mode = "." in name and parameters.KINDS.get(head, "").startswith("jailsys")
    return has_mode and parameters.value_of(jail, head) != "new"


def _line(style: Style, names: list[str], jail: "Jail") -> str:
    return " ".join(_word(style, jail, name) for name in names if not _skipped(style, jail, name))


def _word(style: Style, jail: "Jail", name: str) -> str:
    value = parameters.value_of(jail, name)
    kind = parameters.KINDS.get(name, parameters.TEXT)
    if style.name_value and kind == parameters.BOOL:
        if value == "true":
            return name
        head, _, last = name.rpartition(".")
        return f"{head}.no{last}" if head else f"no{last}"
    prefix = f"{name}=" if style.name_value else ""
    if kind in {parameters.ADDR4, parameters.ADDR6} and not value:
        return prefix + ('""' if style.quote else "" if style.name_value else "-")
    if not value and not parameters.is_keyed(name):
        return f'{prefix}""'
    if style.quote:
        mark = '"' if "'" in value else "'" if '"' in value else '"' if " " in value or "\t" in value else ""
        value = f"{mark}{value}{mark}"
    return prefix + value


def _json_record(style: Style, names: list[str], jail: "Jail") -> str:
    text = "{"
    for key, value in _json_fields(style, names, jail):
        if value.startswith("["):
            text += f"{', ' if text != '{' else ''}{quoted(key)}: {value}"
        else:
            text += f"{',' if text != '{' else ''}{quoted(key)}:{value}"
    return text + "}"


def _json_fields(style: Style, names: list[str], jail: "Jail") -> list[tuple[str, str]]:
    host = quoted(parameters.value_of(jail, "host.hostname"))
    path, name = quoted(jail.path), quoted(jail.name)
    if style.verbose:
        return [
            ("jid", str(jail.jid)),
            ("hostname", host),
            ("path", path),
            ("name", name),
            ("state", '"DYING"' if jail.dying else '"ACTIVE"'),
            ("cpusetid", parameters.value_of(jail, "cpuset.id")),
            ("ipv4_addrs", _json_list(_addresses(jail, "ip4.addr"))),
            ("ipv6_addrs", _json_list(_addresses(jail, "ip6.addr"))),
        ]
    if not names:
        first = (_addresses(jail, "ip4.addr") or [""])[0]
        key = ("name", name) if style.by_name else ("jid", str(jail.jid))
        return [key, ("ipv4", quoted(first)), ("hostname", host), ("path", path)]
    return [(one, _json_value(style, jail, one)) for one in names if not _skipped(style, jail, one)]


def _json_value(style: Style, jail: "Jail", name: str) -> str:
    value = parameters.value_of(jail, name)
    kind = parameters.KINDS.get(name)
    if kind in {parameters.ADDR4, parameters.ADDR6}:
        return _json_list(_addresses(jail, name))
    if kind == parameters.BOOL and style.name_value:
        return value
    return quoted(value)


def _json_list(values: list[str]) -> str:
    return "[" + ", ".join(map(quoted, values)) + "]"
