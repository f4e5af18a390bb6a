"""ifconfig(8): show interfaces, addresses on and off, epair and bridge, into a jail's network and back."""

from jail_linux import interfaces, options
from jail_linux.failure import Failure, error_text
from jail_linux.netlink import Netlink
from jail_linux.program import out
from jail_linux.registry import Jail, Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_USAGE = [
    "usage: ifconfig [-j jail] [-f type:format] [-g groupname] [-C] [-L] interface address_family",
    "                [address [dest_address]] [parameters]",
    "       ifconfig [-j jail] interface create",
    "       ifconfig [-j jail] -a [-g groupname] [-C] [-L] [-d] [-m] [-u] [-v] [address_family]",
    "       ifconfig [-j jail] -l [-d] [-u] [address_family]",
    "       ifconfig [-j jail] [-g groupname] [-C] [-L] [-d] [-m] [-u] [-v]",
]


def main(settings: "Settings", arguments: list[str]) -> int:
    """Run ifconfig.

    Args:
        settings: Of the tools directory.
        arguments: Without the command's own name.

    Returns:
        The exit status.

    Raises:
        Failure: With ifconfig's words, status 1.
    """
    found, words = options.parse("ifconfig", "aCdf:g:j:kLlmnuv", arguments, _USAGE)
    letters = dict(found)
    if "j" not in letters:
        return _run(settings, letters, words)
    from jail_linux import vnet

    jail = living(settings, letters["j"])
    if jail is None:
        raise Failure("ifconfig: jail not found: No such file or directory")
    if jail.net:
        vnet.enter(f"{settings.registry}/jails/{jail.jid}/net")
    return _run(settings, letters, words)


def living(settings: "Settings", key: str) -> "Jail | None":
    """Find a jail that is not dying, by name or number."""
    with Registry(settings, exclusive=False) as registry:
        jail = registry.named(key)
    return None if jail is None or jail.dying else jail


def _run(settings: "Settings", letters: dict[str, str], words: list[str]) -> int:
    sockets = Netlink()
    links = sockets.links()
    if "u" in letters or "d" in letters:
        links = [link for link in links if link.up == ("u" in letters)]
    if "l" in letters:
        out(" ".join(map(interfaces.shown, links)) + "\n")
        return 0
    if not words or "a" in letters:
        addresses = sockets.addresses()
        out("".join(interfaces.describe(link, links, addresses) for link in links))
        return 0
    return _one(settings, sockets, words[0], words[1:])


def _one(settings: "Settings", sockets: Netlink, name: str, words: list[str]) -> int:
    from jail_linux import ifchange, ifclone

    if words and words[0] in {"create", "plumb"}:
        made = ifclone.create(sockets, name)
        if made != name:
            out(f"{made}\n")
        name, words = made, words[1:]
        if not words:
            return 0
    link = interfaces.find(sockets, name)
    if link is None:
        # An interface inside a jail is not seen from outside, yet `-vnet` names it.
        if "-vnet" in words and words.index("-vnet") + 1 < len(words):
            ifclone.take_back(settings, name, words[words.index("-vnet") + 1])
            return 0
        raise Failure(f"ifconfig: interface {name} does not exist")
    if not words or words in (["inet"], ["inet6"], ["ether"]):
        out(interfaces.describe(link, sockets.links(), sockets.addresses()))
        return 0
    try:
        ifchange.Change(settings, sockets, link).run(words)
    except OSError as problem:
        raise Failure(f"ifconfig: {name}: {error_text(problem.errno or 0)}") from None
    finally:
        sockets.close()
    return 0
