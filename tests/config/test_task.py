"""Whole task configurations: the manual's examples, many mistakes at once, keys that need each other."""

from __future__ import annotations

from typing import Any

import pytest

from jail_driver.config.task import (
    AddressWanted,
    FstabMount,
    JailConfig,
    KernelFacts,
    MissingParameterError,
    RctlRule,
    parse_task_config,
)
from jail_driver.errors import ConfigError

ECHO = {
    "Path": "/zroot/iocage/jails/myjail/root",
    "Allow_raw_sockets": True,
    "Allow_chflags": True,
    "Ip4_addr": "em1|192.168.1.102",
    "Exec_start": "/usr/local/bin/http-echo -listen :9999 -text hello",
    "Rctl": [
        {
            "Vmemoryuse": [{"Action": "deny", "Amount": "1G", "Per": "process"}],
            "Openfiles": [{"Action": "deny", "Amount": "500"}],
        }
    ],
}
VNET = {
    "Path": "/zroot/iocage/jails/myjail/root",
    "Host_hostname": "nomad00",
    "Exec_clean": True,
    "Exec_start": "sh /etc/rc",
    "Exec_stop": "sh /etc/rc.shutdown",
    "Mount_devfs": True,
    "Exec_prestart": ["logger trying to start ", "/usr/share/examples/jails/jib addm loghost em1"],
    "Exec_poststart": "logger jail has started",
    "Exec_prestop": "logger shutting down jail ",
    "Exec_poststop": ["logger has shut down jail ", "/usr/share/examples/jails/jib destroy loghost "],
    "Exec_consolelog": "/var/tmp/vnet-example",
    "Vnet": True,
    "Vnet_nic": "e0b_loghost",
}


def parse(**keys: Any) -> JailConfig:
    """Reads a config that lives without a command."""
    return parse_task_config({"Persist": True, **keys})


def problems(config: dict[str, Any], kernel: KernelFacts | None = None) -> tuple[str, ...]:
    """Returns what is wrong with a config."""
    with pytest.raises(ConfigError) as caught:
        parse_task_config(config, kernel)
    return caught.value.problems


class TestTheManualsExamples:
    """Both tasks of the document."""

    def test_echo(self, kernel: KernelFacts) -> None:
        """The http-echo task: two permissions, one address, two limits."""
        config = parse_task_config(ECHO, kernel)
        assert config.path == "/zroot/iocage/jails/myjail/root"
        assert config.params == {"allow.raw_sockets": None, "allow.chflags": None}
        assert config.ip4_addrs == (AddressWanted("192.168.1.102", "em1"),)
        assert [c.argv for c in config.start] == [
            ("/usr/local/bin/http-echo", "-listen", ":9999", "-text", "hello")
        ]
        assert set(config.rules) == {
            RctlRule("vmemoryuse", "deny", "1G", "process"),
            RctlRule("openfiles", "deny", "500"),
        }

    def test_vnet(self, kernel: KernelFacts) -> None:
        """The vnet task: hooks on both sides, devfs, a console log, an interface made by a hook."""
        config = parse_task_config(VNET, kernel)
        assert config.params == {"vnet": "new", "host.hostname": "nomad00"}
        assert (config.vnet, config.vnet_interfaces, config.mount_devfs) == (True, ("e0b_loghost",), True)
        assert config.consolelog == "/var/tmp/vnet-example"
        assert {name: len(commands) for name, commands in config.hooks.items()} == {
            "exec.prestart": 2,
            "exec.poststart": 1,
            "exec.prestop": 1,
            "exec.stop": 1,
            "exec.poststop": 2,
        }

    def test_absent_keys_are_none(self) -> None:
        """Nomad sends every key of the schema, None where the job says nothing."""
        assert parse_task_config({**dict.fromkeys(VNET), **ECHO}) == parse_task_config(ECHO)


def test_every_mistake_in_one_answer(kernel: KernelFacts) -> None:
    """One answer names each mistake with its key, its value, the reason and a remedy."""
    found = problems(
        {
            "Path": "jails/web",
            "Allow_chflags": "maybe",
            "Allow_mount_zfs": True,
            "Ip4_addr": "em1|10.0.0.300",
            "Rctl": {"Cputime": {"Action": "deny", "Amount": "10"}},
            "Docker": "nginx",
            "Ecec_start": "/bin/true",
        },
        kernel,
    )
    for key in (
        "Path",
        "Allow_chflags",
        "Allow_mount_zfs",
        "Ip4_addr",
        "Rctl Cputime",
        "Docker",
        "Ecec_start",
        "Exec_start is missing",
    ):
        assert sum(sentence.startswith(key) for sentence in found) == 1, key
    assert all("; " in sentence for sentence in found)


def test_missing_parameters_are_worth_another_look(kernel: KernelFacts) -> None:
    """After kldload the same config is accepted: the error says which parameters to look for."""
    config = {"Persist": True, "Allow_mount_zfs": True, "Zfs": "new"}
    with pytest.raises(MissingParameterError) as caught:
        parse_task_config(config, kernel)
    loaded = KernelFacts(kernel.parameters | caught.value.missing)
    assert parse_task_config(config, loaded).params == {"allow.mount.zfs": None, "zfs": "new"}


class TestMain:
    """Exec_start, Command and Persist."""

    def test_last_command_is_main(self) -> None:
        """A list runs in order; empty entries do not count."""
        config = parse_task_config({"Exec_start": ["a 1", "b $X", "", "c &"]})
        assert [c.argv for c in config.start] == [("a", "1"), ("/bin/sh", "-c", "b $X"), ("c",)]

    def test_command_list_is_exact(self) -> None:
        """Command as a list is an argument vector, run after Exec_start's commands."""
        config = parse_task_config({"Exec_start": "a &", "Command": ["/bin/prog", "two words", "$X", ""]})
        assert [c.argv for c in config.start] == [
            ("/bin/sh", "-c", "a &"),
            ("/bin/prog", "two words", "$X", ""),
        ]

    def test_command_text_is_split(self) -> None:
        """Command as text is one more command of Exec_start."""
        config = parse_task_config({"Exec_start": "a", "Command": "b c"})
        assert [c.argv for c in config.start] == [("a",), ("b", "c")]

    def test_persist_needs_no_command(self) -> None:
        """Persist alone is a task; with a command it is one too."""
        assert (parse().persist, parse().start) == (True, ())
        assert parse(Exec_start="a").persist

    @pytest.mark.parametrize(
        "config", [{}, {"Persist": False}, {"Exec_start": " "}, {"Exec_start": []}, {"Command": []}]
    )
    def test_nothing_to_run_is_refused(self, config: dict[str, Any]) -> None:
        """A task with neither a command nor Persist would end at once."""
        assert "Exec_start is missing" in problems(config)[0]

    def test_a_bad_command_is_said_once(self) -> None:
        """A command that is no text is not called missing as well."""
        assert len(problems({"Exec_start": [True]})) == 1


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"Vnet_nic": "e0b_a"}, "write Vnet = true"),
        ({"Vnet": "inherit", "Vnet_nic": "e0b_a"}, "write Vnet = true"),
        ({"Vnet": True, "Ip4_addr": "10.0.0.1"}, "write Bridge or Vnet_nic"),
        ({"Vnet": True, "Vnet_nic": "a0", "Ip4_addr": "b0|10.0.0.1"}, "b0 is not moved into the jail"),
        ({"Bridge": "bridge0"}, "write Vnet = true"),
        ({"Gateway": "10.0.0.1"}, "write Vnet = true"),
        ({"Vnet": True, "Bridge": "bridge0", "Gateway": "10.0.0.1"}, "write Ip4_addr as well"),
        ({"Vnet": True, "Bridge": "bridge 0"}, "no interface name"),
        ({"Work_dir": "local"}, "not an absolute path"),
        ({"Vnet": True, "Ip6": "disable"}, "no address restrictions"),
        ({"Vnet": True, "Ip4": "inherit"}, "no address restrictions"),
        ({"Linux_osrelease": "5.15"}, "no release of Linux"),
        ({"Linux_osrelease": "0.9.1"}, "no release of Linux"),
        ({"Osrelease": "x" * 31}, "at most 30"),
        ({"Children_max": 999999}, "out of range"),
        ({"Vnet": True, "Ip_hostname": True, "Host_hostname": "a"}, "no address restrictions"),
        ({"Vnet": "maybe"}, "neither true nor false"),
        ({"Ip4": "inherit", "Ip4_addr": "10.0.0.1"}, "contradicts Ip4"),
        ({"Ip6": "disable", "Ip6_addr": "::1"}, "contradicts Ip6"),
        ({"Ip_hostname": True}, "write Host_hostname"),
        ({"Zfs_dataset": "tank/web"}, "write Allow_mount_zfs"),
        ({"Zfs_dataset": "-r", "Allow_mount_zfs": True}, "no dataset name"),
        ({"Exec_jail_user": "-x"}, "no user name"),
        ({"Exec_jail_user": "a:b"}, "no user name"),
        ({"Exec_consolelog": "rel.log"}, "not an absolute path"),
        ({"Mount_fstab": "/etc/../x"}, "not an absolute path"),
        ({"Path": "/a/./b"}, "not an absolute path"),
        ({"Path": "/" + "x" * 1023}, "at most 1023"),
        ({"Nic": "em 0"}, "no interface name"),
        ({"Exec_timeout": "soon"}, "no duration".replace("no", "not a")),
        ({"Stop_timeout": -1}, "not a duration"),
        ({"Exec_fib": 70000}, "out of range"),
    ],
)  # fmt: skip
def test_contradictions_and_lone_halves(keys: dict[str, Any], says: str) -> None:
    """Keys that need each other, or exclude each other, are checked before anything happens."""
    found = problems({"Persist": True, **keys})
    assert len(found) == 1
    assert says in found[0]


def test_limits_need_accounting(kernel: KernelFacts) -> None:
    """Limits on a host that does not account are refused with the loader tunable."""
    off = KernelFacts(kernel.parameters, racct=False)
    assert "kern.racct.enable=1" in problems(ECHO, off)[0]
    assert parse_task_config(ECHO, KernelFacts(kernel.parameters, racct=True)).rules


@pytest.mark.parametrize(
    ("keys", "field", "value"),
    [
        ({"Vnet": "new"}, "vnet", True),
        ({"Vnet": False}, "params", {}),
        ({"Vnet": "inherit", "Ip4_addr": "10.0.0.1"}, "params", {}),
        ({"Linux_osrelease": "5.15.0-x y"}, "params", {"linux.osrelease": "5.15.0-x y"}),
        ({"Exec_timeout": 30}, "exec_timeout_s", 30.0),
        ({"Exec_timeout": "0"}, "exec_timeout_s", 0.0),
        ({"Exec_timeout": "1h2m3.5s"}, "exec_timeout_s", 3723.5),
        ({"Stop_timeout": "0.5"}, "stop_timeout_s", 0.5),
        ({"Nic": "em1", "Ip4_addr": "10.0.0.1"}, "ip4_addrs", (AddressWanted("10.0.0.1", "em1"),)),
        ({"Devfs_ruleset": "4", "Mount_devfs": "true"}, "devfs_ruleset", 4),
        ({"Mount": ["/a /b nullfs", "/c /d nullfs ro"]}, "mounts", (FstabMount("/a", "/b", "nullfs"), FstabMount("/c", "/d", "nullfs", ("ro",)))),
        ({"Zfs_dataset": ["tank/a", "tank/b"], "Allow_mount_zfs": True}, "zfs_datasets", ("tank/a", "tank/b")),
        ({"Path": "/jails/web//"}, "path", "/jails/web"),
        ({"Path": "/"}, "path", "/"),
        ({"Ip_hostname": "true", "Host_hostname": "web"}, "ip_hostname", True),
        ({"Mount_fstab": "/etc/fstab.web"}, "mount_fstab", "/etc/fstab.web"),
        ({"Exec_jail_user": "www", "Exec_system_jail_user": True}, "system_jail_user", True),
        ({"Exec_fib": 0}, "exec_fib", 0),
    ],
)  # fmt: skip
def test_fields(keys: dict[str, Any], field: str, value: object) -> None:
    """Each key of jail(8) itself arrives in its field, whatever form the job uses."""
    assert getattr(parse(**keys), field) == value


def test_mount_permissions_that_do_nothing() -> None:
    """jail(8) ignores allow.mount.X without allow.mount and a lower enforce_statfs: that is said."""
    config = parse(Allow_mount_tmpfs=True, Allow_mount=True)
    assert config.notices == (
        "Allow_mount_tmpfs: no effect without Allow_mount = true and Enforce_statfs = 1 or 0",
    )
    assert parse(Allow_mount_tmpfs=True, Allow_mount=True, Enforce_statfs=1).notices == ()
    assert parse(Allow_mount_tmpfs=False).notices == ()
