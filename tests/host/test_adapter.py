"""The FreeBSD adapter over recorded commands: exact command lines, and what each refusal means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from host.replay import Replay
from jail_driver.errors import ConfigError
from jail_driver.host.errors import BusyError, ExistsError, HostError, MissingError
from jail_driver.host.freebsd import FreeBSDHost
from jail_driver.host.port import AddressSeen, JailSeen, MountSeen, Rule

Row = tuple[str, int, str, str]
Call = Callable[[FreeBSDHost], Awaitable[Any]]

TABLE = "mount -v --libxo json"
JLS = "jls -d --libxo json jid name path host.hostname dying"
ROOT = Path("/db/t1/root")


def table(*entries: tuple[str, str, str, str]) -> Row:
    """Returns a recorded mount table of (special, node, fstype, fsid)."""
    shown = ", ".join(
        f'{{"special":"{special}","node":"{node}","fstype":"{fstype}","fsid":"{fsid}"}}'
        for special, node, fstype, fsid in entries
    )
    return (TABLE, 0, f'{{"mount": {{"mounted": [{shown}]}}}}\n', "")


VIEW = ("/jails/r", "/db/t1/root", "nullfs", "09ff002929000000")
VIEW_SEEN = MountSeen("/jails/r", "/db/t1/root", "nullfs", "09ff002929000000")
NULLFS = "mount -t nullfs /jails/r /db/t1/root"

DONE: dict[str, tuple[Call, list[Row], Any]] = {
    "create": (
        lambda h: h.create_jail("t1", Path("/"), {"vnet": None, "host.hostname": "a;b {$HOME}", "meta": ""}),
        [("jail -i -c name=t1 path=/ persist vnet host.hostname=a;b {$HOME} meta=", 0, "7\n", "")],
        7,
    ),
    "remove": (lambda h: h.remove_jail(7), [("jail -R 7", 0, "", "")], None),
    "remove, gone": (lambda h: h.remove_jail(99), [("jail -R 99", 1, "", 'jail: "99" not found\n')], None),
    "kill": (lambda h: h.kill_processes(7), [("pkill -KILL -j 7", 0, "", "")], True),
    "kill, none": (lambda h: h.kill_processes(7, "SIGUSR1"), [("pkill -USR1 -j 7", 1, "", "")], False),
    "kill, no jail": (
        lambda h: h.kill_processes(7),
        [("pkill -KILL -j 7", 2, "", "pkill: Invalid jail ID or name `7'\n")],
        False,
    ),
    "kill, one ended meanwhile": (
        lambda h: h.kill_processes(7),
        [("pkill -KILL -j 7", 3, "", "pkill: signalling pid 12: No such process\n")],
        True,
    ),
    "mount": (
        lambda h: h.mount("nullfs", "/jails/r", ROOT, ("ro", "noexec")),
        [table(), ("mount -t nullfs -o ro,noexec /jails/r /db/t1/root", 0, "", ""), table(VIEW)],
        VIEW_SEEN,
    ),
    "unmount by fsid": (
        lambda h: h.unmount("09ff002929000000"),
        [("umount 09ff002929000000", 0, "", "")],
        None,
    ),
    "unmount by fsid, gone": (
        lambda h: h.unmount("09ff002929000000", force=True),
        [
            (
                "umount -f 09ff002929000000",
                1,
                "",
                "umount: 09ff002929000000: unknown file system\n",
            )
        ],
        None,
    ),
    "unmount by target takes the uppermost": (
        lambda h: h.unmount("/db/t1/root"),
        [
            table(VIEW, ("tmpfs", "/db/t1/root", "tmpfs", "0cff008787000000")),
            ("umount 0cff008787000000", 0, "", ""),
        ],
        None,
    ),
    "unmount by target, which is only a source": (lambda h: h.unmount("/jails/r"), [table(VIEW)], None),
    "unmount an entry": (
        lambda h: h.unmount(VIEW_SEEN),
        [table(VIEW), ("umount 09ff002929000000", 0, "", "")],
        None,
    ),
    "unmount an entry whose fsid is another's now": (
        lambda h: h.unmount(VIEW_SEEN),
        [table(("tmpfs", "/tmp", "tmpfs", "09ff002929000000"))],
        None,
    ),
    "unmount without an fsid": (
        lambda h: h.unmount("/db/t1/root"),
        [table(("/jails/r", "/db/t1/root", "nullfs", "")), ("umount /db/t1/root", 0, "", "")],
        None,
    ),
    "add": (
        lambda h: h.add_address("lo0", "127.0.7.1", 24),
        [("ifconfig lo0 inet 127.0.7.1/24 alias", 0, "", "")],
        None,
    ),
    "add IPv6": (
        lambda h: h.add_address("lo0", "FD00::07", 128),
        [("ifconfig lo0 inet6 fd00::7/128 alias", 0, "", "")],
        None,
    ),
    "remove address": (
        lambda h: h.remove_address("lo0", "fd00::7"),
        [("ifconfig lo0 inet6 fd00::7 -alias", 0, "", "")],
        None,
    ),
    "remove address, gone": (
        lambda h: h.remove_address("lo0", "127.0.7.1"),
        [
            (
                "ifconfig lo0 inet 127.0.7.1 -alias",
                1,
                "",
                "ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address\n",
            )
        ],
        None,
    ),
    "remove address, interface gone": (
        lambda h: h.remove_address("em9", "127.0.7.1"),
        [("ifconfig em9 inet 127.0.7.1 -alias", 1, "", "ifconfig: interface em9 does not exist\n")],
        None,
    ),
    "interfaces": (
        lambda h: h.interfaces(),
        [("ifconfig -l", 0, "lo0 epair0a bridge0\n", "")],
        ("lo0", "epair0a", "bridge0"),
    ),
    "interfaces of a jail": (
        lambda h: h.interfaces(7),
        [("ifconfig -j 7 -l", 0, "lo0 eth0\n", "")],
        ("lo0", "eth0"),
    ),
    "give": (lambda h: h.give_interface("epair0b", 7), [("ifconfig epair0b vnet 7", 0, "", "")], None),
    "take": (lambda h: h.take_interface("epair0b", 7), [("ifconfig epair0b -vnet 7", 0, "", "")], None),
    "take, already back": (
        lambda h: h.take_interface("epair0b", 10),
        [
            (
                "ifconfig epair0b -vnet 10",
                1,
                "",
                "ifconfig: SIOCSIFRVNET(10, epair0b): Device not configured\n",
            )
        ],
        None,
    ),
    "take, jail gone": (
        lambda h: h.take_interface("epair0b", 10),
        [("ifconfig epair0b -vnet 10", 1, "", 'ifconfig: jail "10" not found\n')],
        None,
    ),
    "epair": (
        lambda h: h.create_epair(),
        [("ifconfig epair create", 0, "epair0a\n", "")],
        ("epair0a", "epair0b"),
    ),
    "epair of a number": (
        lambda h: h.create_epair(7),
        [("ifconfig epair7 create", 0, "epair7a\n", "")],
        ("epair7a", "epair7b"),
    ),
    "destroy": (lambda h: h.destroy_interface("epair7a"), [("ifconfig epair7a destroy", 0, "", "")], None),
    "destroy, gone": (
        lambda h: h.destroy_interface("epair0a"),
        [("ifconfig epair0a destroy", 1, "", "ifconfig: interface epair0a does not exist\n")],
        None,
    ),
    "rules": (
        lambda h: h.rules("t1"),
        [("rctl jail:t1", 0, "jail:t1:memoryuse:deny=67108864\n", "")],
        (Rule("t1", "memoryuse", "deny", "67108864"),),
    ),
    "rules while switched off": (
        lambda h: h.rules("t1"),
        [
            (
                "rctl jail:t1",
                1,
                "",
                "rctl: RACCT/RCTL present, but disabled; enable using kern.racct.enable=1 tunable\n",
            )
        ],
        (),
    ),
    "add rule": (
        lambda h: h.add_rule(Rule("t1", "memoryuse", "deny", "64M", "user")),
        [("rctl -a jail:t1:memoryuse:deny=64M/user", 0, "", "")],
        None,
    ),
    "remove rules": (lambda h: h.remove_rules("t1"), [("rctl -r jail:t1", 0, "", "")], None),
    "remove rules, none": (
        lambda h: h.remove_rules("t1"),
        [("rctl -r jail:t1", 1, "", "rctl: failed to remove rule 'jail:t1': No such process\n")],
        None,
    ),
    "racct on": (lambda h: h.racct_enabled(), [("sysctl -n kern.racct.enable", 0, "1\n", "")], True),
    "racct off": (lambda h: h.racct_enabled(), [("sysctl -n kern.racct.enable", 0, "0\n", "")], False),
    "racct not compiled in": (
        lambda h: h.racct_enabled(),
        [("sysctl -n kern.racct.enable", 1, "", "sysctl: unknown oid 'kern.racct.enable'\n")],
        False,
    ),
    "release": (
        lambda h: h.release(),
        [("sysctl -n kern.osrelease", 0, "15.1-STABLE\n", "")],
        "15.1-STABLE",
    ),
}


@pytest.mark.parametrize(("call", "rows", "expected"), DONE.values(), ids=DONE.keys())
def test_done(call: Call, rows: list[Row], expected: Any) -> None:
    """Each operation is exactly these commands; what is gone already is success."""
    replay = Replay(*rows)
    assert asyncio.run(_awaited(call, replay.host())) == expected
    assert replay.rows == []


REFUSED: dict[str, tuple[Call, list[Row], type[HostError], str]] = {
    "a living jail of this name": (
        lambda h: h.create_jail("t1", Path("/"), {}),
        [("jail -i -c name=t1 path=/ persist", 1, "", 'jail: "1" already exists\n')],
        ExistsError,
        'create jail t1: jail: "1" already exists (failed with status 1)',
    ),
    "no such root": (
        lambda h: h.create_jail("t2", Path("/nonexistent"), {}),
        [
            (
                "jail -i -c name=t2 path=/nonexistent persist",
                1,
                "",
                "jail: path /nonexistent: No such file or directory\n",
            )
        ],
        MissingError,
        "path /nonexistent: No such file or directory",
    ),
    "a root that is a file": (
        lambda h: h.create_jail("t2", Path("/etc/passwd"), {}),
        [
            (
                "jail -i -c name=t2 path=/etc/passwd persist",
                1,
                "",
                "jail: path /etc/passwd: Not a directory\n",
            )
        ],
        MissingError,
        "Not a directory",
    ),
    "a parameter the kernel lacks": (
        lambda h: h.create_jail("t2", Path("/"), {"allow.vmm": None}),
        [("jail -i -c name=t2 path=/ persist allow.vmm", 1, "", "jail: unknown parameter: allow.vmm\n")],
        HostError,
        "unknown parameter: allow.vmm",
    ),
    "no jid printed": (
        lambda h: h.create_jail("t2", Path("/"), {}),
        [("jail -i -c name=t2 path=/ persist", 0, "", "")],
        HostError,
        "printed no jid",
    ),
    "no such mount point": (
        lambda h: h.mount("nullfs", "/jails/r", ROOT),
        [table(), (NULLFS, 1, "", "mount: /db/t1/root: No such file or directory\n")],
        MissingError,
        "mount /jails/r on /db/t1/root: mount: /db/t1/root: No such file or directory",
    ),
    "no such source": (
        lambda h: h.mount("nullfs", "/jails/r", ROOT),
        [table(), (NULLFS, 64, "", "mount_nullfs: /jails/r: No such file or directory\n")],
        MissingError,
        "mount_nullfs: /jails/r: No such file or directory (failed with status 64)",
    ),
    "onto itself": (
        lambda h: h.mount("nullfs", "/jails/r", ROOT),
        [table(), (NULLFS, 1, "", "mount_nullfs: /db/t1/root: Resource deadlock avoided\n")],
        HostError,
        "Resource deadlock avoided",
    ),
    "landed elsewhere": (
        lambda h: h.mount("nullfs", "/jails/r", ROOT),
        [
            table(("/jails/r", "/db/t2/root", "nullfs", "08ff002929000000")),
            (NULLFS, 0, "", ""),
            table(
                ("/jails/r", "/db/t2/root", "nullfs", "08ff002929000000"),
                ("/jails/r", "/etc", "nullfs", "09ff002929000000"),
            ),
            table(("/jails/r", "/etc", "nullfs", "09ff002929000000")),
            ("umount 09ff002929000000", 0, "", ""),
        ],
        HostError,
        "landed on /etc instead",
    ),
    "not in the table": (
        lambda h: h.mount("nullfs", "/jails/r", ROOT),
        [table(), (NULLFS, 0, "", ""), table()],
        HostError,
        "not in the mount table afterwards",
    ),
    "busy": (
        lambda h: h.unmount("09ff002929000000"),
        [("umount 09ff002929000000", 1, "", "umount: unmount of /db/t1/root failed: Device busy\n")],
        BusyError,
        "unmount 09ff002929000000: umount: unmount of /db/t1/root failed: Device busy",
    ),
    "no such interface for an address": (
        lambda h: h.add_address("nosuch0", "10.0.0.1", 32),
        [("ifconfig nosuch0 inet 10.0.0.1/32 alias", 1, "", "ifconfig: interface nosuch0 does not exist\n")],
        MissingError,
        "add 10.0.0.1/32 to nosuch0: ifconfig: interface nosuch0 does not exist",
    ),
    "no such interface to give": (
        lambda h: h.give_interface("nosuch0", 7),
        [("ifconfig nosuch0 vnet 7", 1, "", "ifconfig: interface nosuch0 does not exist\n")],
        MissingError,
        "nosuch0 does not exist",
    ),
    "no such jail to give to": (
        lambda h: h.give_interface("epair0b", 7),
        [("ifconfig epair0b vnet 7", 1, "", 'ifconfig: jail "7" not found\n')],
        MissingError,
        "not found",
    ),
    "no such jail to list": (
        lambda h: h.interfaces(7),
        [("ifconfig -j 7 -l", 1, "", "ifconfig: jail not found: No such file or directory\n")],
        MissingError,
        "list the interfaces of jail 7",
    ),
    "epair taken": (
        lambda h: h.create_epair(0),
        [("ifconfig epair0 create", 1, "", "ifconfig: interface epair0 already exists\n")],
        ExistsError,
        "create epair0",
    ),
    "limit refused by the kernel": (
        lambda h: h.add_rule(Rule("t1", "cputime", "deny", "5M")),
        [
            (
                "rctl -a jail:t1:cputime:deny=5M",
                1,
                "",
                "rctl: failed to add rule 'jail:t1:cputime:deny=5M': Operation not supported\n",
            )
        ],
        HostError,
        "Operation not supported",
    ),
    "limits switched off": (
        lambda h: h.add_rule(Rule("t1", "maxproc", "deny", "5")),
        [
            (
                "rctl -a jail:t1:maxproc:deny=5",
                1,
                "",
                "rctl: RACCT/RCTL present, but disabled; enable using kern.racct.enable=1 tunable\n",
            )
        ],
        HostError,
        "kern.racct.enable=1",
    ),
}


@pytest.mark.parametrize(("call", "rows", "kind", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(call: Call, rows: list[Row], kind: type[HostError], words: str) -> None:
    """A refusal says what was being done, in the command's own words, and is of the kind to act on."""
    replay = Replay(*rows)
    with pytest.raises(HostError) as caught:
        asyncio.run(_awaited(call, replay.host()))
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert replay.rows == []


NEVER_RUN: dict[str, Call] = {
    "a hook": lambda h: h.create_jail("t", Path("/"), {"exec.start": "sh"}),
    "a command": lambda h: h.create_jail("t", Path("/"), {"command": "sh"}),
    "a mount of jail(8)'s own": lambda h: h.create_jail("t", Path("/"), {"mount.devfs": None}),
    "another path": lambda h: h.create_jail("t", Path("/"), {"path": "/etc"}),
    "a second parameter": lambda h: h.create_jail("t", Path("/"), {"a=b path": "/etc"}),
    "an address that jail(8) would add": lambda h: h.create_jail(
        "t", Path("/"), {"ip4.addr": "lo0|10.0.0.1"}
    ),
    "two options in one": lambda h: h.mount("tmpfs", "tmpfs", ROOT, ("size=1m,suiddir",)),
    "an argument as an option": lambda h: h.mount("nullfs", "/a", ROOT, ("-o",)),
    "a program as an option": lambda h: h.mount("nullfs", "/a", ROOT, ("mountprog=/bin/sh",)),
    "an update": lambda h: h.mount("nullfs", "/a", ROOT, ("update",)),
    "a NUL in an option": lambda h: h.mount("tmpfs", "tmpfs", ROOT, ("size=1\0",)),
    "a source like an option": lambda h: h.mount("nullfs", "-a", ROOT),
    "a relative target": lambda h: h.mount("nullfs", "/a", Path("db/t1")),
    "a target with dots": lambda h: h.mount("nullfs", "/a", Path("/db/../etc")),
    "two file systems in one": lambda h: h.mount("nullfs,ufs", "/a", ROOT),
    "an interface like an option": lambda h: h.add_address("-a", "10.0.0.1", 32),
    "an address like an option": lambda h: h.remove_address("lo0", "-alias"),
    "a pattern as a signal": lambda h: h.kill_processes(1, "f sh"),
    "every jail's limits": lambda h: h.remove_rules(""),
    "another rule's subject": lambda h: h.remove_rules("t1:memoryuse"),
}


@pytest.mark.parametrize("call", NEVER_RUN.values(), ids=NEVER_RUN.keys())
def test_never_run(call: Call) -> None:
    """What a command would take apart differently is refused before any command runs."""
    with pytest.raises(ConfigError):
        asyncio.run(_awaited(call, Replay().host()))


class TestListings:
    """What a listing asks for, by release."""

    def test_meta_where_the_kernel_has_it(self) -> None:
        """From FreeBSD 15.0 jls is asked for meta; the kernel is asked for its parameters once."""
        answer = '{"jail-information": {"jail": [{"jid":"1","name":"t1","path":"/","meta":"m"}]}}'
        adapter = Replay(
            ("sysctl -N security.jail.param", 0, "security.jail.param.meta\n", ""),
            (f"{JLS} meta", 0, answer, ""),
            (f"{JLS} meta", 0, answer, ""),
        ).host()

        async def twice() -> tuple[JailSeen, ...]:
            await adapter.jails()
            return await adapter.jails()

        assert asyncio.run(twice()) == (JailSeen(1, "t1", "/", meta="m"),)

    def test_without_meta_and_without_the_dying(self) -> None:
        """Older kernels are not asked for it; the dying are left out on demand."""
        answer = (
            '{"jail-information": {"jail": ['
            '{"jid":"1","name":"t1","path":"/","dying":"true"}, {"jid":"2","name":"t2","path":"/"}]}}'
        )
        adapter = Replay(
            ("sysctl -N security.jail.param", 0, "security.jail.param.jid\n", ""), (JLS, 0, answer, "")
        ).host()
        assert asyncio.run(_awaited(lambda h: h.jails(dying=False), adapter)) == (JailSeen(2, "t2", "/"),)

    def test_mount_without_json_is_asked_once(self) -> None:
        """FreeBSD 13 refuses --libxo: from then on the text is read."""
        line = "/jails/r on /db/t1/root (nullfs, local, fsid 09ff002929000000)\n"
        adapter = Replay(
            (TABLE, 1, "", "mount: illegal option -- -\nusage: mount [-adflpruvw]\n"),
            ("mount -v", 0, line, ""),
            ("mount -v", 0, line, ""),
        ).host()

        async def twice() -> tuple[MountSeen, ...]:
            await adapter.mounts()
            return await adapter.mounts()

        assert asyncio.run(twice()) == (VIEW_SEEN,)

    def test_addresses(self) -> None:
        """All interfaces at once."""
        answer = "lo0: flags=0 metric 0 mtu 1\n\tinet 127.0.0.1 netmask 0xff000000\n"
        assert asyncio.run(
            _awaited(lambda h: h.addresses(), Replay(("ifconfig -a", 0, answer, "")).host())
        ) == (AddressSeen("lo0", "127.0.0.1", 8),)


def test_every_change_keeps_its_lock() -> None:
    """The lock of the effect reaches the command that has the effect, and no listing."""
    lock = Path("/locks/step.lock")
    runner = Replay(table(), (NULLFS, 0, "", ""), table(VIEW), ("umount 09ff002929000000", 0, "", ""))

    async def scenario() -> None:
        adapter = runner.host()
        seen = await adapter.mount("nullfs", "/jails/r", ROOT, lock=lock)
        await adapter.unmount(seen.fsid, lock=lock)

    asyncio.run(scenario())
    assert runner.locks == [None, lock, None, lock]


async def _awaited(call: Call, on: FreeBSDHost) -> Any:
    return await call(on)
