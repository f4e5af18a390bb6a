"""getopt(3) as FreeBSD's commands use it, and libxo's own first arguments.

The stand-ins do not use the standard library's `getopt`: it imports gettext, and its messages are not
FreeBSD's.
"""

from jail_linux.failure import Failure


def parse(
    command: str, letters: str, arguments: list[str], usage: list[str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Split arguments into options and operands; the first operand ends the options.

    Args:
        command: Name for messages.
        letters: Option letters as getopt(3) takes them; a colon follows a letter that has a value.
        arguments: Without the command's own name.
        usage: Lines of the usage message.

    Returns:
        Pairs of (letter, value or ""), and the operands.

    Raises:
        Failure: An unknown letter or a missing value; status 1.
    """
    found: list[tuple[str, str]] = []
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if word == "--":
            return found, arguments[index + 1 :]
        if len(word) < 2 or word[0] != "-":  # noqa: PLR2004  # "-" alone is an operand
            break
        index += 1
        for position in range(1, len(word)):
            letter = word[position]
            where = letters.find(letter)
            if where < 0 or letter == ":":
                raise Failure(f"{command}: illegal option -- {letter}", *usage)
            if letters[where + 1 : where + 2] != ":":
                found.append((letter, ""))
                continue
            value = word[position + 1 :]
            if not value:
                if index == len(arguments):
                    raise Failure(f"{command}: option requires an argument -- {letter}", *usage)
                value = arguments[index]
                index += 1
            found.append((letter, value))
            break
    return found, arguments[index:]


def take_libxo(command: str, arguments: list[str]) -> tuple[str, list[str]]:
    """Take libxo's own option off the arguments, wherever it stands, as xo_parse_args(3) does.

    Args:
        command: Name for messages.
        arguments: Without the command's own name.

    Returns:
        The style, "text" or "json", and the other arguments.

    Raises:
        Failure: Another style or option is asked for, which the stand-ins do not have.
    """
    style = "text"
    rest: list[str] = []
    pending = list(arguments)
    while pending:
        word = pending.pop(0)
        if not word.startswith("--libxo"):
            rest.append(word)
            continue
        value = word[len("--libxo") :].lstrip("=:") or (pending.pop(0) if pending else "")
        if value not in {"json", "text"}:
            raise Failure(f"{command}: libxo style {value!r}: the Linux stand-in has json and text only")
        style = value
    return style, rest
