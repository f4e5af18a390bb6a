"""What a configuration only names is looked up once, at start, and stored."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jail_driver.config.policy import Policy
from jail_driver.config.settle import Lookups, settle
from jail_driver.config.task import AddressWanted, FstabMount, JailConfig, parse_task_config
from jail_driver.errors import ConfigError, HostError


def config(**keys: object) -> JailConfig:
    """Reads a config that lives without a command."""
    return parse_task_config({"Persist": True, **keys})


def test_nothing_to_look_up() -> None:
    """A config that names nothing stays as it is, and nobody is asked."""
    plain = config(Path="/jails/web", Exec_start="a")
    assert settle(plain) == plain


def test_fstab_is_read_once(tmp_path: Path) -> None:
    """The file's mounts come behind the job's own, and the name is gone."""
    fstab = tmp_path / "fstab"
    fstab.write_text("# web\n/data /jails/web/data nullfs ro 0 0\n")
    settled = settle(config(Path="/jails/web", Mount="/a /b nullfs", Mount_fstab=str(fstab)))
    assert settled.mounts == (
        FstabMount("/a", "/b", "nullfs"),
        FstabMount("/data", "/data", "nullfs", ("ro",)),
    )
    assert settled.mount_fstab is None
    assert settle(settled) == settled


def test_bad_fstab(tmp_path: Path) -> None:
    """Wrong lines are the job's mistake; a missing file may appear later; a FIFO blocks nobody."""
    fstab = tmp_path / "fstab"
    with pytest.raises(HostError, match="No such file"):
        settle(config(Mount_fstab=str(fstab)))
    fstab.write_text("one two\n/a /../b nullfs\n")
    with pytest.raises(ConfigError) as caught:
        settle(config(Mount_fstab=str(fstab)))
    assert len(caught.value.problems) == 2
    fstab.write_bytes(b"\xff")
    with pytest.raises(HostError):
        settle(config(Mount_fstab=str(fstab)))
    fstab.write_text("#" * (1 << 21))
    with pytest.raises(HostError, match="larger than"):
        settle(config(Mount_fstab=str(fstab)))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(HostError, match="not a regular file"):
        settle(config(Mount_fstab=str(fifo)))


def test_hostname_is_looked_up_once() -> None:
    """The resolver's addresses come behind the job's own, on the job's interface."""
    asked: list[str] = []

    def addresses_of(name: str) -> tuple[str, ...]:
        asked.append(name)
        return ("10.0.0.1", "10.0.0.2", "2001:DB8::1")

    wanted = config(Host_hostname="web", Ip_hostname=True, Nic="em1", Ip4_addr="10.0.0.1/24")
    settled = settle(wanted, lookups=Lookups(addresses_of=addresses_of))
    assert settled.ip4_addrs == (AddressWanted("10.0.0.1", "em1", 24), AddressWanted("10.0.0.2", "em1"))
    assert settled.ip6_addrs == (AddressWanted("2001:db8::1", "em1"),)
    assert settle(settled, lookups=Lookups(addresses_of=addresses_of)) == settled
    assert asked == ["web"]


def test_unknown_hostname() -> None:
    """A name without an address is the host's failure, and may work later."""

    def addresses_of(_name: str) -> tuple[str, ...]:
        raise OSError("Name does not resolve")

    with pytest.raises(HostError, match=r"looking 'web' up: Name does not resolve"):
        settle(config(Host_hostname="web", Ip_hostname=True), lookups=Lookups(addresses_of=addresses_of))


def test_real_resolver_knows_localhost() -> None:
    """The real lookup returns addresses in canonical form."""
    assert "127.0.0.1" in Lookups().addresses_of("localhost")


def test_policy_sees_through_links(tmp_path: Path) -> None:
    """A link below an allowed directory that leads out of it is refused; what is checked is what is used."""
    (tmp_path / "jails").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "jails" / "web").symlink_to(tmp_path / "secret")
    (tmp_path / "jails" / "real").mkdir()
    (tmp_path / "jails" / "same").symlink_to("real")
    allowed = Policy(paths=(str(tmp_path / "jails"),))
    with pytest.raises(ConfigError, match="allow_paths"):
        settle(config(Path=str(tmp_path / "jails" / "web")), allowed)
    settled = settle(config(Path=str(tmp_path / "jails" / "same")), allowed)
    assert settled.path == str(tmp_path / "jails" / "real")


def test_policy_holds_for_the_file_itself(tmp_path: Path) -> None:
    """A file that is not allowed, or a link to one, is not read: the lines of a bad one would be quoted."""
    secret = tmp_path / "master.passwd"
    secret.write_text("root:$6$hash:0:0::0:0:Charlie:/root:/bin/sh\n")
    (tmp_path / "jails").mkdir()
    link = tmp_path / "jails" / "fstab"
    link.symlink_to(secret)
    allowed = Policy(paths=(str(tmp_path / "jails"),))
    for named in (secret, link):
        with pytest.raises(ConfigError, match=r"Mount_fstab = .*allow_paths") as refused:
            settle(config(Mount_fstab=str(named)), allowed)
        assert "hash" not in str(refused.value)


def test_all_that_fails_is_said() -> None:
    """What could not be looked up is named beside what is wrong."""

    def addresses_of(_name: str) -> tuple[str, ...]:
        raise OSError("Name does not resolve")

    wanted = config(Host_hostname="web", Ip_hostname=True, Mount_fstab="/no/such/fstab")
    with pytest.raises(ConfigError) as refused:
        settle(wanted, lookups=Lookups(addresses_of=addresses_of))
    missing, unknown = refused.value.problems
    assert missing.startswith(
        'Mount_fstab = "/no/such/fstab": No such file or directory; name an fstab(5) file'
    )
    assert "looking 'web' up: Name does not resolve; make it known" in unknown


def test_policy_sees_the_files_mounts(tmp_path: Path) -> None:
    """Mounts that only the fstab file names are held to the policy too."""
    fstab = tmp_path / "fstab"
    fstab.write_text("/etc /mnt nullfs\n")
    allowed = Policy(paths=(str(tmp_path),))
    with pytest.raises(ConfigError, match="Mount = /etc"):
        settle(config(Mount_fstab=str(fstab)), allowed)
