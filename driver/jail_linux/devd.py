"""devd(8): tells listeners which processes a jail's memory limit has killed.

FreeBSD's kernel reports each matched rule with the action `devctl`, and devd repeats it on a socket. Here
the only such event is the kernel's own message of a cgroup's out-of-memory kill. The first `devctl` rule
starts the daemon, which ends with the last one; without /dev/kmsg there is none, and no socket.
"""

import errno
import fcntl
import os
import select
import socket

from jail_linux import cgroup, rules
from jail_linux.files import remove_file
from jail_linux.registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jail_linux.settings import Settings

_KMSG = "/dev/kmsg"
_LOOK_S = 30
_MOST_BYTES = 8192


def has_source() -> bool:
    """Whether this machine lets us read the kernel's messages."""
    return os.access(_KMSG, os.R_OK)


def pipe(settings: "Settings") -> str:
    """Path of the socket, of type SOCK_SEQPACKET as devd's newer one."""
    return f"{settings.directory}/devd.seqpacket.pipe"


def ensure(settings: "Settings", registry: Registry) -> None:
    """Start the daemon unless it runs; when this returns, its socket can be connected to.

    Args:
        settings: Of the tools directory.
        registry: Held exclusively, so that a daemon cannot be about to end.
    """
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready)
        os.setsid()
        if os.fork() == 0:
            _detach(tell)
            try:
                _serve(settings, registry, tell)
            except OSError:
                pass
        os._exit(0)
    os.close(tell)
    os.waitpid(child, 0)
    os.read(ready, 1)
    os.close(ready)


def poke(settings: "Settings") -> None:
    """Make the daemon look whether it is still wanted."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as visitor:
        visitor.setblocking(False)
        visitor.connect_ex(pipe(settings))


def _detach(keep: int) -> None:
    """Let go of everything inherited: the caller's locks above all."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, keep)
    os.closerange(keep + 1, 1024)
    os.chdir("/")


def _serve(settings: "Settings", registry: Registry, tell: int) -> None:
    lock = os.open(f"{registry.root}/devd.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # It runs; the caller's read ends with this process.
    source = os.open(_KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.lseek(source, 0, os.SEEK_END)
    path = pipe(settings)
    remove_file(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(16)
    listener.setblocking(False)
    os.write(tell, b"1")
    os.close(tell)
    _listen(settings, listener, source)


def _listen(settings: "Settings", listener: socket.socket, source: int) -> None:
    clients: list[socket.socket] = []
    while True:
        wait: list[int | socket.socket] = [listener, source, *clients]
        select.select(wait, [], [], _LOOK_S)
        clients = [client for client in clients if not _hung_up(client)]
        while visitor := _accepted(listener):
            clients.append(visitor)
        texts = [text for line in _lines(source) for text in translate(settings, line)]
        for client in clients:
            for text in texts:
                _send(client, text)
        if not os.path.exists(pipe(settings)):
            return  # The tools directory was removed: opening the registry would make it again.
        with Registry(settings, exclusive=True) as registry:
            if not any(rule.action == "devctl" for rule in rules.load(registry)):
                remove_file(pipe(settings))
                return


def _accepted(listener: socket.socket) -> "socket.socket | None":
    try:
        visitor, _ = listener.accept()
    except BlockingIOError:
        return None
    visitor.setblocking(False)
    return visitor


def _hung_up(client: socket.socket) -> bool:
    try:
        return not client.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _send(client: socket.socket, text: str) -> None:
    try:
        client.send(text.encode())
    except OSError:
        pass  # As devd does: who does not keep up misses events.


def _lines(source: int) -> list[str]:
    """Read the kernel's new messages, one at a time as the device gives them."""
    found = []
    while True:
        try:
            found.append(os.read(source, _MOST_BYTES).decode(errors="replace"))
        except BlockingIOError:
            return found
        except OSError as problem:
            if problem.errno != errno.EPIPE:  # Some were overwritten before they could be read.
                raise


def translate(settings: "Settings", message: str) -> list[str]:
    """Turn the kernel's message of an out-of-memory kill into FreeBSD's of each rule that it matches.

    Args:
        settings: Of the tools directory.
        message: One record of /dev/kmsg.

    Returns:
        Events as devd passes them on; none if it is about something else.
    """
    head, mark, facts = message.partition(";oom-kill:")
    if not mark or not head:
        return []
    words = dict(pair.partition("=")[::2] for pair in facts.splitlines()[0].split(","))
    with Registry(settings, exclusive=False) as registry:
        jail = cgroup.jail_of(registry, words.get("oom_memcg", ""))
        if jail is None:
            return []
        return [
            f"!system=RCTL subsystem=rule type=matched rule={rule.text()} pid={words.get('pid')}"
            f" ruid={words.get('uid')} jail={jail.name}\n"
            for rule in rules.of_jail(registry, jail.name)
            if (rule.resource, rule.action, rule.per) == ("memoryuse", "devctl", "jail")
        ]
