"""Making and changing a jail: what jail_set(2) does."""

import os

from jail_linux import helper, kernel
from jail_linux.failure import Failure, error_text
from jail_linux.registry import Jail, Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings
    from jail_linux.wishes import Wishes

_NAME_MAX = 255


def create(settings: "Settings", wishes: "Wishes") -> Jail:
    """Make a jail.

    Its UTS namespace (and network namespace, with vnet) is made first and held by a bind mount; the record
    is written last, so a run that is killed leaves no jail.

    Args:
        settings: Of the tools directory.
        wishes: The checked parameters.

    Returns:
        The new jail.

    Raises:
        Failure: With jail(8)'s words.
    """
    persist = wishes.params.get("persist") == "true"
    if not persist and not wishes.command:
        raise Failure("jail: new jail must persist or attach")
    path = _root(wishes.params.get("path", "/"))
    has_net = wishes.params.get("vnet") == "new"
    if "vnet" in wishes.params and wishes.params.keys() & {"ip4", "ip6", "ip4.addr", "ip6.addr"}:
        raise Failure("jail: vnet jails cannot have IP address restrictions")
    holder = helper.Holder(wishes.params.get("host.hostname", ""), has_net=has_net)
    # The child ends before the lock does, so nobody ever sees it inside the jail.
    with Registry(settings, exclusive=True) as registry, holder:
        jail = _plan(registry, wishes, path)
        jail.persist = persist
        _hold(registry, jail, holder.process, ("uts", "net") if has_net else ("uts",))
    return jail


def _root(path: str) -> str:
    if not path.startswith("/"):
        raise Failure(f"jail: path {path}: No such file or directory")
    try:
        real = os.path.realpath(path, strict=True)
    except OSError as problem:
        raise Failure(f"jail: path {path}: {error_text(problem.errno or 0)}") from None
    if not os.path.isdir(real):
        raise Failure(f"jail: path {path}: Not a directory")
    return real


def _plan(registry: Registry, wishes: "Wishes", path: str) -> Jail:
    from jail_linux.lifetime import sweep  # keeps this module free for jexec

    sweep(registry)
    name = wishes.name or ""
    jid = wishes.jid if wishes.jid is not None else int(name) if name.isdigit() else None
    if name.isdigit() and jid != int(name):
        raise Failure("jail: name cannot be numeric (unless it is the jid)")
    if len(os.fsencode(name)) > _NAME_MAX:
        raise Failure("jail: jail_set: File name too long")
    _refuse_taken(registry, name, jid)
    parent = _parent(registry, name)
    if jid is not None and (old := registry.get(jid)) is not None:
        registry.free_number(old)
    jail = Jail(jid if jid is not None else registry.take_number(), name, path)
    jail.name = name or str(jail.jid)
    jail.parent = parent
    jail.params = {
        key: value for key, value in wishes.params.items() if key not in {"path", "persist", "vnet"}
    }
    _refuse_clash(registry, jail)
    return jail


def _refuse_taken(registry: Registry, name: str, jid: "int | None") -> None:
    for key in (name, str(jid) if jid is not None else ""):
        other = registry.named(key) if key else None
        if other is not None and not other.dying:
            raise Failure(f'jail: "{other.jid}" already exists')


def _parent(registry: Registry, name: str) -> int:
    head, dot, _ = name.rpartition(".")
    if not dot:
        return 0
    parent = registry.named(head)
    if parent is None or parent.dying:
        raise Failure(f'jail: jail "{head}" not found')
    return parent.jid


def _refuse_clash(registry: Registry, jail: Jail) -> None:
    """Two jails may share an address only where each has no other (sys/kern/kern_jail.c)."""
    for name, label in (("ip4.addr", "IPv4"), ("ip6.addr", "IPv6")):
        mine = set(filter(None, jail.params.get(name, "").split(",")))
        if not mine:
            continue
        for other in registry.all():
            theirs = set(filter(None, other.params.get(name, "").split(",")))
            shared = not other.dying and mine & theirs
            if shared and (len(mine) > 1 or len(theirs) > 1):
                raise Failure(f"jail: {label} addresses clash")


def _hold(registry: Registry, jail: Jail, process: int, kinds: tuple[str, ...]) -> None:
    folder = registry.folder(jail.jid)
    registry.note_due(jail.jid)
    os.mkdir(folder, 0o700)
    for kind in kinds:
        source = f"/proc/{process}/ns/{kind}"
        os.close(os.open(f"{folder}/{kind}", os.O_CREAT | os.O_WRONLY, 0o600))
        kernel.mount(source, f"{folder}/{kind}", None, kernel.MS_BIND)
        setattr(jail, kind, os.stat(source).st_ino)
    registry.save(jail)


def modify(settings: "Settings", wishes: "Wishes") -> Jail:
    """Change a living jail.

    Args:
        settings: Of the tools directory.
        wishes: The checked parameters; name or jid says which jail.

    Returns:
        The jail as it is now.

    Raises:
        Failure: With jail(8)'s words.
    """
    key = str(wishes.jid) if wishes.jid is not None else wishes.name or ""
    with Registry(settings, exclusive=True) as registry:
        jail = registry.named(key)
        if jail is None or jail.dying:
            raise Failure(f'jail: "{key}" not found')
        params = dict(wishes.params)
        for fixed in ("path", "vnet"):
            if fixed in params:
                raise Failure(f"jail: {fixed} cannot be changed after creation")
        if wishes.jid is not None and wishes.name and wishes.name != jail.name:
            _refuse_taken(registry, wishes.name, None)
            registry.drop_name(jail)
            jail.name = wishes.name
        jail.persist = params.pop("persist", "true" if jail.persist else "false") == "true"
        jail.params.update(params)
        registry.save(jail)
        if "host.hostname" in params:
            helper.rename_host(f"{registry.folder(jail.jid)}/uts", params["host.hostname"])
        if not jail.persist:
            from jail_linux.lifetime import sweep  # as above

            sweep(registry)
    return jail
