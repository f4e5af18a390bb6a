"""What is refused before anything is made: every mistake in one answer, each with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jail_driver.config.model import JailConfig, RctlRule
from jail_driver.config.options import PluginOptions
from jail_driver.config.policy import STRICT, Policy
from jail_driver.engine.checking import check
from jail_driver.engine.runtime import Runtime
from jail_driver.errors import ConfigError, StartError
from jail_driver.host.fake import FakeHost
from jail_driver.model import Device, Mount, Resources, TaskSpec
from jail_state.core.task import Task


class Node:
    """A host, its tools and its operator's options."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.host = FakeHost()
        self.tools = SimpleNamespace(setfib="/usr/sbin/setfib", zfs="/sbin/zfs")
        self.options = PluginOptions("/var/db/x", **options)
        self.root = directory / "root"
        (self.root / "etc").mkdir(parents=True)
        (self.root / "etc/passwd").write_text("www:*:80:80:www:/usr/local/www:/bin/sh\n")

    def tasks(self) -> tuple[Task, ...]:
        """None is here yet."""
        return ()

    def check(self, config: Mapping[str, Any], **changes: Any) -> JailConfig:
        """Checks a task."""
        spec = SimpleNamespace(
            **{
                "name": "web",
                "user": "",
                "alloc_dir": str(self.root.parent),
                "config": {"Path": str(self.root), **config},
                "resources": Resources(),
                "devices": (),
                "mounts": (),
            }
            | changes
        )
        return asyncio.run(check(cast("Runtime", self), cast("TaskSpec", spec)))

    def problems(self, config: Mapping[str, Any], **changes: Any) -> tuple[str, ...]:
        """Returns why a task is refused."""
        with pytest.raises(ConfigError) as caught:
            self.check(config, **changes)
        return caught.value.problems


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node whose operator allows everything."""
    return Node(tmp_path)


def test_five_mistakes_have_five_reasons(node: Node) -> None:
    """Path, limit, parameter, user and command: all of them in one answer, in whatever part they are found."""
    found = node.problems(
        {
            "Path": "/no/such/root",
            "Rctl": {"Cputime": {"Action": "deny", "Amount": 5}},
            "Linux": "new",
            "Enforce_statfs": 9,
        },
        mounts=(Mount("/x", "/host", readonly=False),),
    )
    words = ("/no/such/root", "the kernel cannot deny it", "kldload linux64", "Enforce_statfs", "Exec_start")
    assert [sum(word in one for one in found) for word in words] == [1, 1, 1, 1, 1]
    assert len(found) == 5


def test_a_module_that_was_loaded_just_now(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter that the kernel lacks is looked for once more before it is refused."""
    known = asyncio.run(node.host.kernel_parameters())
    answers = [known, known | {"linux"}]

    async def asked() -> frozenset[str]:
        return answers.pop(0)

    monkeypatch.setattr(node.host, "kernel_parameters", asked)
    assert node.check({"Persist": True, "Linux": "new"}).params["linux"] == "new"
    assert answers == []


class TestUsers:
    """Who runs inside."""

    def test_two_that_differ(self, node: Node) -> None:
        """The job's user and Nomad's contradict each other; the same one twice is fine."""
        [said] = node.problems({"Persist": True, "Exec_jail_user": "www"}, user="nobody")
        assert "www" in said
        assert "nobody" in said
        assert node.check({"Persist": True, "Exec_jail_user": "www"}, user="www").jail_user == "www"

    def test_nobody_of_that_name(self, node: Node) -> None:
        """A user that the jail does not have is refused at once."""
        [said] = node.problems({"Persist": True}, user="missing")
        assert "missing" in said


class TestHost:
    """What the host lacks."""

    def test_routing_tables(self, node: Node) -> None:
        """A table is one of the kernel's; without setfib(1) there is no way to choose one."""
        [said] = node.problems({"Persist": True, "Exec_fib": 1})
        assert "routing tables 0 to 0 (net.fibs)" in said
        node.host.kernel_values["net.fibs"] = "2"
        assert node.check({"Persist": True, "Exec_fib": 1}).exec_fib == 1
        node.tools.setfib = ""
        [said] = node.problems({"Persist": True, "Exec_fib": 1})
        assert "no setfib(1)" in said

    def test_datasets(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without zfs(8) a dataset cannot be handed over."""
        known = asyncio.run(node.host.kernel_parameters()) | {"allow.mount.zfs"}

        async def asked() -> frozenset[str]:
            return known

        monkeypatch.setattr(node.host, "kernel_parameters", asked)
        config = {"Persist": True, "Zfs_dataset": "tank/a", "Allow_mount_zfs": True, "Enforce_statfs": 1,
                  "Allow_mount": True}  # fmt: skip
        assert node.check(config).zfs_datasets == ("tank/a",)
        node.tools.zfs = ""
        [said] = node.problems(config)
        assert "no zfs(8)" in said

    def test_no_accounting(self, node: Node) -> None:
        """Limits of the job are refused on a kernel that does not count; Nomad's own are a notice."""
        node.host.racct = False
        rule = {"Maxproc": {"Action": "deny", "Amount": 5}}
        [said] = node.problems({"Persist": True, "Rctl": rule})
        assert "kern.racct.enable=1" in said
        config = node.check({"Persist": True}, resources=Resources(memory_bytes=1 << 20))
        assert config.rules == ()
        assert "not enforced" in config.notices[0]


class TestOperator:
    """The policy, where more than the configuration is asked for."""

    def test_devices_and_volumes(self, tmp_path: Path) -> None:
        """Devices and volumes have options of their own."""
        node = Node(tmp_path, policy=Policy(devices=("/dev/dri/*",), volumes=("/srv",)))
        allowed = {"devices": (Device("/dev/dri/c0", "/dev/dri/c0", "rw"),), "mounts": (Mount("/v", "/srv/v", readonly=True),)}  # fmt: skip
        assert node.check({"Persist": True}, **allowed).persist
        found = node.problems(
            {"Persist": True},
            devices=(Device("/dev/mem", "/dev/mem", "rw"),),
            mounts=(Mount("/v", "/etc", readonly=True),),
        )
        assert ["allow_devices" in found[0], "allow_volumes" in found[1]] == [True, True]

    def test_strict(self, tmp_path: Path) -> None:
        """The preset reaches the job's own keys."""
        node = Node(tmp_path, policy=STRICT)
        found = node.problems({"Persist": True, "Exec_prestart": "true", "Allow_mlock": True})
        assert [
            any(option in one for one in found)
            for option in ("allow_hooks", "allow_parameters", "allow_paths")
        ] == [True, True, True]

    def test_a_link_out_of_what_is_allowed(self, tmp_path: Path) -> None:
        """What counts is where a path leads, not how it is written."""
        node = Node(tmp_path, policy=Policy(paths=(str(tmp_path / "jails"),)))
        (tmp_path / "jails").mkdir()
        (tmp_path / "jails/web").symlink_to(node.root)
        [said] = node.problems({"Persist": True, "Path": str(tmp_path / "jails/web")})
        assert "allow_paths" in said


class TestResources:
    """Nomad's resources."""

    def test_limits_and_cores(self, tmp_path: Path) -> None:
        """Memory kills and tells so, CPU is a share of this processor's clock, cores are passed on."""
        node = Node(tmp_path, resource_limits=frozenset({"memory", "cpu", "cores"}))
        resources = Resources(memory_bytes=1000, cpu_shares_mhz=500, cpuset_cpus="0,1")
        config = node.check({"Persist": True}, resources=resources)
        assert config.rules == (
            RctlRule("memoryuse", "sigkill", "1000"),
            RctlRule("memoryuse", "devctl", "1000"),
            RctlRule("pcpu", "deny", "25"),
        )
        assert config.cpus == "0,1"


def test_a_devfs_without_rules(node: Node, tmp_path: Path) -> None:
    """FreeBSD takes a ruleset that is not loaded for an empty one: it is told, and refused under a strict policy."""
    config = {"Persist": True, "Mount_devfs": True, "Devfs_ruleset": 77}
    [notice] = node.check(config).notices
    assert notice.startswith("Devfs_ruleset = 77: this host has no rules of that number loaded")
    assert "service devfs onestart" in notice
    for other in ({"Devfs_ruleset": 4}, {"Devfs_ruleset": 0}, {"Mount_devfs": False}):
        assert node.check(config | other).notices == ()
    gpu = (Device("/dev/dri", "", "r"),)
    assert "77" in node.check(config | {"Mount_devfs": False}, devices=gpu).notices[0]
    strict = Node(tmp_path / "strict", policy=Policy(parameters=("devfs_ruleset",)))
    assert strict.problems(config) == (notice,)


def test_what_is_found_in_different_places_is_told_together(node: Node) -> None:
    """A key that cannot be read hides nothing that is wrong with the others, on the host or in a file."""
    found = node.problems(
        {
            "Persist": True,
            "Enforce_statfs": 9,
            "Exec_jail_user": "missing",
            "Exec_system_user": "nobody-of-the-host",
            "Exec_consolelog": "/no/such/directory/log",
            "Exec_fib": 3,
            "Mount_fstab": "/no/such/fstab",
            "Devfs_ruleset": "many",
        }
    )
    starts = (
        "Enforce_statfs = 9",
        "Devfs_ruleset = ",
        'Exec_system_user = "nobody-of-the-host"',
        'Exec_jail_user = "missing"',
        'Exec_consolelog = "/no/such/directory/log"',
        "Exec_fib = 3",
        'Mount_fstab = "/no/such/fstab"',
    )
    assert [sum(one.startswith(start) for one in found) for start in starts] == [1] * len(starts), found
    assert len(found) == len(starts)


def test_a_bad_path_is_told_once(node: Node) -> None:
    """Nothing is looked for below a root that is not there, or that cannot be read."""
    for path in ("relative", "/no/such/root", 5, "/bad\0path"):
        [said] = node.problems({"Persist": True, "Path": path, "Exec_jail_user": "www"})
        assert said.startswith("Path = ")


def test_a_file_that_may_appear_later(node: Node, tmp_path: Path) -> None:
    """What cannot be looked up alone is worth trying again; a console log needs its directory only."""
    with pytest.raises(StartError, match='Mount_fstab = "/no/such/fstab": No such file') as refused:
        node.check({"Persist": True, "Mount_fstab": "/no/such/fstab"})
    assert refused.value.recoverable
    log = str(tmp_path / "console.log")
    assert node.check({"Persist": True, "Exec_consolelog": log}).consolelog == log


class TestAbsent:
    """What the host may have later: the restart policy tries again, unless something else is wrong for good."""

    def test_interfaces_bridges_and_sources(self, node: Node) -> None:
        """All at once, with what there is instead; an address that the host has needs no interface."""
        config = {
            "Persist": True,
            "Ip4_addr": ["em7|10.0.0.1", "em7|10.0.0.9"],
            "Ip6_addr": "em8|2001:db8::1",
            "Mount": ["/no/such /mnt nullfs ro", "tmpfs /tmp tmpfs"],
        }
        asyncio.run(node.host.add_address(asyncio.run(node.host.interfaces())[0], "10.0.0.9", 24))
        with pytest.raises(StartError) as refused:
            node.check(config)
        assert refused.value.recoverable
        text = str(refused.value)
        assert 'Ip4_addr = "em7|10.0.0.1": this host has no interface em7; it has ' in text
        assert 'Ip6_addr = "em8|2001:db8::1": this host has no interface em8' in text
        assert 'Mount = "/no/such /mnt nullfs": its source is not there' in text
        assert "10.0.0.9" not in text
        found = node.problems({**config, "Enforce_statfs": 7})
        assert len(found) == 4
        assert node.check({**config, "Exec_prepare": "make-them"}).mounts

    def test_a_bridge(self, node: Node) -> None:
        """It is the operator's to make."""
        with pytest.raises(StartError, match=r"make it: ifconfig bridge9 create up"):
            node.check({"Persist": True, "Vnet": True, "Bridge": "bridge9"})
