"""kenv(1): a kernel environment of the registry's own, forgotten at a reboot as the real one is."""

from jail_linux import options
from jail_linux.failure import Failure
from jail_linux.files import read_file, write_file
from jail_linux.jsontext import dumps, loads
from jail_linux.program import out
from jail_linux.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_USAGE = ["usage: kenv [-lhNq]", "       kenv [-qv] variable[=value]", "       kenv [-q] -u variable"]
_NAME_MAX = 127
_UNABLE = 255
"""kenv.c returns -1 from main (seen on 15.1)."""


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run kenv.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status.

    Raises:
        Failure: With kenv's words, status 1.
    """
    found, words = options.parse("kenv", "hlNquv", arguments, _USAGE)
    letters = {letter for letter, _ in found}
    if len(words) > 1 or ("u" in letters and not words):
        raise Failure(*_USAGE)
    name, equals, value = (words[0] if words else "").partition("=")
    change = bool(equals) or "u" in letters
    with Registry(settings, exclusive=change) as registry:
        path = f"{registry.root}/kenv"
        variables: dict[str, str] = loads(read_file(path) or "{}")
        if change:
            _change(variables, name, value if equals else None, quiet="q" in letters)
            write_file(path, dumps(variables))
        elif not words:
            lines = [one if "N" in letters else f'{one}="{text}"' for one, text in sorted(variables.items())]
            out("".join(f"{line}\n" for line in lines))
            return 0
        elif name not in variables:
            raise _unable("get", name, quiet="q" in letters)
    if "u" not in letters:
        text = variables[name]
        out(f'{name}="{text}"\n' if equals or "v" in letters else f"{text}\n")
    return 0


def _change(variables: dict[str, str], name: str, value: "str | None", *, quiet: bool) -> None:
    if value is None:
        if name not in variables:
            raise _unable("unset", name, quiet=quiet)
        del variables[name]
        return
    if not name or len(name) > _NAME_MAX or len(value) > _NAME_MAX:
        raise _unable("set", name, quiet=quiet)
    variables[name] = value


def _unable(verb: str, name: str, *, quiet: bool) -> Failure:
    said = () if quiet else (f"kenv: unable to {verb} {name}",)
    return Failure(*said, status=_UNABLE)
