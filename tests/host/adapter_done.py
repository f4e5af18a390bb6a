"""Operations that succeed: the exact command lines, recorded answers, and what comes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from host.adapter_rows import ROOT, VIEW, VIEW_SEEN, Call, Row, table
from jail_driver.host.port import MountSeen, Rule

DEV = ("devfs", "/db/t1/root", "devfs", "00ff007171000000")

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
    "mount where emptydir is not known yet": (
        lambda h: h.mount("devfs", "devfs", ROOT, ("ruleset=4", "emptydir")),
        [
            table(),
            (
                "mount -t devfs -o ruleset=4,emptydir devfs /db/t1/root",
                1,
                "",
                "mount: /db/t1/root: mount option <emptydir> is unknown: Invalid argument\n",
            ),
            ("mount -t devfs -o ruleset=4 devfs /db/t1/root", 0, "", ""),
            table(DEV),
        ],
        MountSeen(*DEV),
    ),
    "device rules": (
        lambda h: h.has_device_rules(4),
        [("devfs rule -s 4 show", 0, "100 include 1\n200 include 2\n", "")],
        True,
    ),
    "no device rules": (lambda h: h.has_device_rules(4), [("devfs rule -s 4 show", 0, "", "")], False),
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
        [
            ("ifconfig lo0 inet6 fd00::7/128 alias", 0, "", ""),
            ("ifconfig lo0", 0, "lo0: flags=8049<UP>\n\tinet6 fd00::7 prefixlen 128\n", ""),
        ],
        None,
    ),
    "add IPv6 and wait": (
        lambda h: h.add_address("em0", "fd00::7", 64),
        [
            ("ifconfig em0 inet6 fd00::7/64 alias", 0, "", ""),
            ("ifconfig em0", 0, "em0: x\n\tinet6 fd00::7 prefixlen 64 tentative\n", ""),
            ("ifconfig em0", 0, "em0: x\n\tinet6 fd00::7 prefixlen 64 tentative\n", ""),
            ("ifconfig em0", 0, "em0: x\n\tinet6 fd00::7 prefixlen 64\n", ""),
        ],
        None,
    ),
    "add IPv6 inside and wait": (
        lambda h: h.add_inside(7, "epair1b", "fd00::7", 64),
        [
            ("ifconfig -j 7 epair1b inet6 fd00::7/64 alias up", 0, "", ""),
            ("ifconfig -j 7 epair1b", 0, "epair1b: x\n\tinet6 fd00::7 prefixlen 64 tentative\n", ""),
            ("ifconfig -j 7 epair1b", 0, "epair1b: x\n\tinet6 fd00::7 prefixlen 64\n", ""),
        ],
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
    "a kernel value": (
        lambda h: h.kernel_value("hw.clockrate"),
        [("sysctl -n hw.clockrate", 0, "2400\n", "")],
        "2400",
    ),
    "a kernel value that is not there": (
        lambda h: h.kernel_value("net.nothing"),
        [("sysctl -n net.nothing", 1, "", "sysctl: unknown oid 'net.nothing'\n")],
        None,
    ),
    "bind": (lambda h: h.bind_cpus(7, "0,2-3"), [("cpuset -l 0,2-3 -j 7", 0, "", "")], None),
    "attach": (lambda h: h.attach_dataset(7, "tank/a b"), [("zfs jail 7 tank/a b", 0, "", "")], None),
    "attach, a second time": (
        lambda h: h.attach_dataset(7, "tank/a"),
        [("zfs jail 7 tank/a", 1, "", "cannot jail 'tank/a': dataset already exists\n")],
        None,
    ),
    "detach": (lambda h: h.detach_dataset(7, "tank/a"), [("zfs unjail 7 tank/a", 0, "", "")], None),
    "detach, never attached": (
        lambda h: h.detach_dataset(7, "tank/a"),
        [("zfs unjail 7 tank/a", 1, "", "cannot unjail 'tank/a': dataset does not exist\n")],
        None,
    ),
    "detach, jail gone": (
        lambda h: h.detach_dataset(7, "tank/a"),
        [("zfs unjail 7 tank/a", 2, "", "invalid jail id or name\n")],
        None,
    ),
    "release": (
        lambda h: h.release(),
        [("sysctl -n kern.osrelease", 0, "15.1-STABLE\n", "")],
        "15.1-STABLE",
    ),
}
