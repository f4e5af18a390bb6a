"""Operations that are refused: recorded words, and which kind of error they are; and what is never run."""

from __future__ import annotations

from pathlib import Path

from host.adapter_rows import NULLFS, ROOT, VIEW, Call, Row, table
from jail_driver.host.errors import BusyError, ExistsError, HostError, MissingError
from jail_driver.host.port import Rule

REFUSED: dict[str, tuple[Call, list[Row], type[HostError], str]] = {
    "a processor that is not there": (
        lambda h: h.bind_cpus(7, "99"),
        [("cpuset -l 99 -j 7", 1, "", "cpuset: setaffinity: Invalid argument\n")],
        HostError,
        "bind jail 7 to the processors 99: cpuset: setaffinity: Invalid argument",
    ),
    "a dataset that is not there": (
        lambda h: h.attach_dataset(7, "tank/a"),
        [("zfs jail 7 tank/a", 1, "", "cannot open 'tank/a': dataset does not exist\n")],
        HostError,
        "hand the dataset tank/a to jail 7: cannot open 'tank/a'",
    ),
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
    "an IPv6 address that somebody else has": (
        lambda h: h.add_address("em0", "fd00::7", 64),
        [
            ("ifconfig em0 inet6 fd00::7/64 alias", 0, "", ""),
            ("ifconfig em0", 0, "em0: x\n\tinet6 fd00::7 prefixlen 64 duplicated\n", ""),
        ],
        HostError,
        "add fd00::7/64 to em0: another machine on this network has fd00::7 already",
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
    "landed elsewhere while an old one is in its place": (
        lambda h: h.mount("nullfs", "/jails/r", ROOT),
        [
            table(VIEW),
            (NULLFS, 0, "", ""),
            table(VIEW, ("/jails/r", "/etc", "nullfs", "0aff002929000000")),
            table(VIEW, ("/jails/r", "/etc", "nullfs", "0aff002929000000")),
            ("umount 0aff002929000000", 0, "", ""),
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
