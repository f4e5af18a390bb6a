"""What a jailed task sees of files: its root, its own files, volumes, devices, and nothing of it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import rig
from jail_driver.agent.stub import PluginError
from jail_driver.model import Device, Dns, Mount, TaskSpec
from net import lab

pytestmark = rig.needs_root
PLACES = ("alloc", "local", "secrets")


@pytest.fixture(scope="module")
def host() -> Iterator[rig.Host]:
    """One host for the tests of this file; each leaves it clean."""
    with rig.host() as made:
        yield made


@contextlib.contextmanager
def plain_root(host: rig.Host, name: str, *, readonly: bool = False) -> Iterator[Path]:
    """A root without Nomad's mount points: programs of the host, an /etc; read-only as an operator makes it."""
    source, root = host.base / f"{name}-source", host.base / name
    for part in ("usr", "etc", "tmp"):
        (source / part).mkdir(parents=True)
    for part in ("bin", "lib", "lib64"):
        (source / part).symlink_to(f"usr/{part}")
    root.mkdir()
    commands = [["--bind", str(source), str(root)]]
    commands += [["-o", "remount,bind,ro", str(root)]] if readonly else []
    commands += [["--bind", "/usr", str(root / "usr")], ["-o", "remount,bind,ro", str(root / "usr")]]
    for argv in commands:
        subprocess.run(["mount", *argv], check=True, capture_output=True)
    try:
        yield root
    finally:
        for target in (root / "usr", root):
            subprocess.run(["umount", str(target)], check=True, capture_output=True)


def entries(root: Path) -> list[str]:
    """Every path of a root, but for the host's programs below it."""
    found = []
    for folder, folders, files in os.walk(root):
        if "usr" in folders:
            folders.remove("usr")
        found += [str(Path(folder, name).relative_to(root)) for name in (*folders, *files)]
    return sorted(found)


def started(host: rig.Host, spec: TaskSpec, **options: str) -> int:
    """Run one task to its end on a plugin of its own; its exit code. The host is clean afterwards."""

    async def scenario() -> int:
        before = host.snapshot()
        async with rig.plugin(host, **options) as plugin:
            result = await lab.run(plugin, spec)
        host.wait_clean(before)
        return result.exit_code

    return asyncio.run(scenario())


def refused(host: rig.Host, spec: TaskSpec) -> str:
    """Start a task that cannot be; the reason. The host is clean afterwards."""

    async def scenario() -> str:
        before = host.snapshot()
        async with rig.plugin(host) as plugin:
            with pytest.raises(PluginError) as caught:
                await plugin.start(spec)
            await plugin.client.destroy(spec.id)
        host.wait_clean(before)
        return str(caught.value)

    return asyncio.run(scenario())


class TestOwnFiles:
    """resolv.conf and hosts: a file of the task, mounted over the root's."""

    def test_dns_hosts_and_hostname(self, host: rig.Host) -> None:
        """The task sees its own; the shared Path keeps its own; what was made for it is gone."""
        (host.root / "etc/hosts").write_text("127.0.0.1 shared\n")
        before = entries(host.root / "etc")
        config = {
            "Host_hostname": "web.example.org",
            "Ip4_addr": "em1|192.168.1.140",
            "Hosts": ["192.0.2.5 db"],
        }
        command = "cat /etc/resolv.conf /etc/hosts; hostname; echo x > /etc/hosts; echo status $?"
        dns = Dns(("192.0.2.53", "192.0.2.54"), ("example.org",), ("ndots:2",))
        spec = lab.looks(host, command, config, dns=dns)
        assert started(host, spec) == 0
        assert lab.said(spec).splitlines()[:9] == [
            "nameserver 192.0.2.53",
            "nameserver 192.0.2.54",
            "search example.org",
            "options ndots:2",
            "127.0.0.1 localhost",
            "::1 localhost",
            "192.168.1.140 web.example.org web",
            "192.0.2.5 db",
            "web.example.org",
        ]
        assert "Read-only file system" in lab.said(spec)
        assert (host.root / "etc/hosts").read_text() == "127.0.0.1 shared\n"
        assert entries(host.root / "etc") == before

    def test_a_link_in_its_place_is_refused(self, host: rig.Host) -> None:
        """A resolv.conf that is a link cannot be covered: the reason is said, and the link stays."""
        with plain_root(host, "linked") as root:
            (root / "etc/resolv.conf").symlink_to("../tmp/resolv.conf")
            spec = lab.looks(host, "true", {"Path": str(root)}, dns=Dns(("192.0.2.53",)))
            assert "etc/resolv.conf is a symbolic link" in refused(host, spec)
            assert (root / "etc/resolv.conf").is_symlink()


class TestRoot:
    """Path, through a view of the task's own."""

    def test_what_a_root_lacks_is_made_and_unmade(self, host: rig.Host) -> None:
        """Mount points in a shared Path live as long as somebody uses them."""

        async def scenario(root: Path) -> None:
            before = host.snapshot(), entries(root)
            one, two = (lab.looks(host, "sleep 60", {"Path": str(root)}) for _ in range(2))
            async with rig.plugin(host) as plugin:
                await plugin.start(one)
                await plugin.start(two)
                assert {*PLACES} <= {*entries(root)}
                await lab.stop(plugin, one)
                assert {*PLACES} <= {*entries(root)}
                await lab.stop(plugin, two)
            host.wait_clean(before[0])
            assert entries(root) == before[1]

        with plain_root(host, "bare") as root:
            asyncio.run(scenario(root))

    def test_readonly(self, host: rig.Host) -> None:
        """Path_readonly: nothing of Path can be changed from inside, the task's own directories can."""
        with plain_root(host, "guarded") as root:
            before = entries(root)
            command = "touch /tmp/x; touch /new; touch /local/x /alloc/x /data/x; ls /data; echo done"
            mounts = (Mount("/data", str(root.parent / "volume"), readonly=False),)
            (root.parent / "volume").mkdir()
            config = {"Path": str(root), "Path_readonly": True}
            spec = lab.looks(host, command, config, mounts=mounts)
            assert started(host, spec) == 0
            seen = lab.said(spec)
            assert seen.count("Read-only file system") == 2
            assert seen.endswith("x\ndone\n")
            assert entries(root) == before

    def test_a_readonly_path_that_lacks_mount_points(self, host: rig.Host) -> None:
        """It cannot be helped from here: the error names Path, what it lacks and the remedy."""
        with plain_root(host, "sealed", readonly=True) as root:
            reason = refused(host, lab.looks(host, "true", {"Path": str(root)}))
            assert f"{root} has no /alloc and it cannot be made there" in reason
            assert "make it in Path" in reason

    def test_what_a_mount_would_hide(self, host: rig.Host) -> None:
        """/local of Path with files in it is not covered: they may be somebody's, or a trap."""
        with plain_root(host, "full") as root:
            (root / "local").mkdir()
            (root / "local/file").touch()
            assert "/local of Path is not an empty directory" in refused(
                host, lab.looks(host, "true", {"Path": str(root)})
            )
            assert (root / "local/file").exists()

    def test_the_default_path(self, host: rig.Host) -> None:
        """Without Path the task's own directory is the root: /local is there already, /alloc is mounted."""
        static = Path("/sbin/ldconfig")
        if not static.exists() or static.read_bytes()[:4] != b"\x7fELF":
            pytest.skip("needs /sbin/ldconfig, a program without shared libraries on glibc systems")
        spec = lab.looks(host, "true")
        own = Path(spec.alloc_dir, "web")
        (own / "local/prog").write_bytes(static.read_bytes())
        (own / "local/prog").chmod(0o755)
        before = entries(own)
        config = {"Exec_start": "/local/prog --version", "Mount_procfs": True}
        assert started(host, replace(spec, config=config)) == 0
        assert "ldconfig" in Path(spec.stdout_path).read_text()
        assert entries(own) == before


class TestVolumes:
    """What Nomad and the job mount into the view."""

    def test_volumes(self, host: rig.Host) -> None:
        """Readonly is honoured; a mount point inside /local is made there and removed."""
        for name in ("open", "closed"):
            (host.base / name).mkdir()
        mounts = (
            Mount("/local/open", str(host.base / "open"), readonly=False),
            Mount("/srv/closed/deep", str(host.base / "closed"), readonly=True),
        )
        spec = lab.looks(host, "touch /local/open/x; touch /srv/closed/deep/x; echo", mounts=mounts)
        assert started(host, spec) == 0
        assert "Read-only file system" in lab.said(spec)
        assert (host.base / "open/x").exists()
        assert not (host.base / "closed/x").exists()
        assert not (host.root / "srv").exists()
        assert list(Path(spec.alloc_dir, "web/local").iterdir()) == []

    def test_a_volume_outside_the_root_is_refused(self, host: rig.Host) -> None:
        """A destination with .. is named before anything is made."""
        mounts = (Mount("../../etc", str(host.base / "tmp"), readonly=False),)
        assert "no place inside the jail" in refused(host, lab.looks(host, "true", mounts=mounts))

    def test_mounts_of_the_job(self, host: rig.Host) -> None:
        """Lines of fstab(5), in the job and in a file: tmpfs, procfs and its Linux kin, fdescfs, devfs, a file."""
        table = host.base / "fstab"
        (host.base / "one file").write_text("text\n")
        table.write_text(
            f"# more\n{host.base}/one\\040file /mnt/file nullfs ro 0 0\ntmpfs /mnt/t tmpfs rw,size=1m\n"
        )
        lines = [f"{name} /mnt/{name} {name} ro" for name in ("linprocfs", "linsysfs")]
        config = {
            "Mount": lines,
            "Mount_fstab": str(table),
            **{f"Mount_{name}": True for name in ("devfs", "fdescfs", "procfs")},
        }
        command = (
            "cat /mnt/file; echo in-tmpfs > /mnt/t/x; cat /mnt/t/x; cat /mnt/linprocfs/self/comm;"
            " ls -d /mnt/linsysfs/kernel /dev/null /dev/fd/1 /proc/self; ls /dev/mem"
        )
        spec = lab.looks(host, command, config)
        started(host, spec)
        seen = lab.said(spec).splitlines()
        assert seen[:3] == ["text", "in-tmpfs", "cat"]
        assert seen[3:7] == ["/dev/fd/1", "/dev/null", "/mnt/linsysfs/kernel", "/proc/self"]
        assert "/dev/mem" in seen[7]
        assert "No such file" in seen[7]

    def test_devices(self, host: rig.Host) -> None:
        """A device that Nomad grants is shown, with the directory above it; devfs is mounted for it."""
        devices = (Device("/dev/net/tun", "/dev/net/tun", "rw"),)
        spec = lab.looks(host, "ls /dev/net; ls /dev/kmsg", devices=devices)
        started(host, spec)
        assert lab.said(spec).splitlines()[0] == "tun"
        assert "No such file" in lab.said(spec)

    def test_a_device_under_another_name_is_refused(self, host: rig.Host) -> None:
        """devfs(8) knows one name for a device."""
        devices = (Device("/dev/other", "/dev/net/tun", "rw"),)
        assert "under its own name only" in refused(host, lab.looks(host, "true", devices=devices))


class TestDirectory:
    """Where main starts."""

    @pytest.mark.parametrize("user", ["", "nobody"])
    def test_work_dir(self, host: rig.Host, user: str) -> None:
        """Work_dir holds for root and for others, also for a program that is named from there."""
        spec = lab.looks(host, "true", user=user)
        program = Path(spec.alloc_dir, "web/local/prog")
        program.write_text("#!/bin/sh\npwd\nid -u\n")
        program.chmod(0o755)
        log = Path(spec.stdout_path)
        config = {**spec.config, "Work_dir": "/local", "Exec_start": "./prog"}
        assert started(host, replace(spec, config=config)) == 0
        assert log.read_text().splitlines() == ["/local", "65534" if user else "0"]

    def test_a_missing_directory_is_named(self, host: rig.Host) -> None:
        """As a configuration that cannot work."""
        reason = refused(host, lab.looks(host, "true", {"Work_dir": "/nowhere"}))
        assert 'Work_dir = "/nowhere": no such directory in the jail' in reason
