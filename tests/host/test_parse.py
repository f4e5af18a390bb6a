"""Reading what FreeBSD's commands print: recorded output in, plain data out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jail_driver.host import parse
from jail_driver.host.errors import HostError
from jail_driver.host.port import AddressSeen, JailSeen, MountSeen, Rule

GOLDEN = Path(__file__).with_name("golden")


def golden(name: str) -> bytes:
    """Returns recorded output."""
    return (GOLDEN / name).read_bytes()


class TestJails:
    """``jls --libxo json``."""

    def test_named_parameters_give_numbers_and_flags_as_text(self) -> None:
        """``"jid":"1"`` and ``"dying":"false"`` are a number and a flag all the same."""
        assert parse.jails(golden("jls-named.json")) == (JailSeen(1, "t1", "/"),)

    def test_dash_n_gives_real_flags(self) -> None:
        """The whole of ``jls -n`` is read as well."""
        assert parse.jails(golden("jls-n.json")) == (JailSeen(1, "t1", "/"),)

    def test_dying_odd_names_and_meta(self) -> None:
        """A dying jail shares its name with a living one; any text may stand in a name."""
        assert parse.jails(golden("jls-dying.json")) == (
            JailSeen(5, "d1", "/", 'a;b {$HOME} "q" é', meta="task=1 a=b"),
            JailSeen(70, "d1", "/", dying=True),
            JailSeen(71, "n\nl", "/jails/j", "a\nb", meta="x=y\nz=w"),
        )

    def test_none(self) -> None:
        """No jail is an empty listing, not an error."""
        assert parse.jails(golden("jls-none.json")) == ()


class TestMounts:
    """``mount -v``."""

    def test_json(self) -> None:
        """Entries keep the table's order; read-only is an option, the fsid a field."""
        table = parse.mounts(golden("mount-v.json"))
        assert table[1:] == (
            MountSeen("devfs", "/dev", "devfs", "00ff007171000000"),
            MountSeen("/jails/r", "/db/t1/root", "nullfs", "09ff002929000000"),
            MountSeen("/a/local", "/db/t1/root/local", "nullfs", "0aff002929000000"),
            MountSeen("/a/alloc", "/db/t1/root/tmp", "nullfs", "0bff002929000000", readonly=True),
        )

    def test_text_of_older_releases(self) -> None:
        """FreeBSD 13 has no JSON: the text says the same."""
        assert parse.text_mounts(golden("mount-v.txt")) == (
            *parse.mounts(golden("mount-v.json"))[2:],
            MountSeen("devfs", "/db/t1/root/dev", "devfs", "00ff007171000000"),
        )


class TestAddresses:
    """``ifconfig -a``."""

    def test_every_form(self) -> None:
        """Hexadecimal masks, zones and point-to-point lines; other lines are passed over."""
        assert parse.addresses(golden("ifconfig.txt")) == (
            AddressSeen("lo0", "127.0.0.1", 8),
            AddressSeen("lo0", "127.0.7.1", 32),
            AddressSeen("lo0", "::1", 128),
            AddressSeen("lo0", "fe80::1", 64),
            AddressSeen("eth0", "10.5.0.2", 24),
            AddressSeen("tun0", "10.8.0.1", 32),
            AddressSeen("tun0", "fd00::7", 128),
        )

    @pytest.mark.parametrize("line", ["inet 10.0.0.1/28", "inet 10.0.0.1 netmask 255.255.255.240"])
    def test_other_mask_formats(self, line: str) -> None:
        """Masks as ``ifconfig -f inet:cidr`` and ``inet:dotted`` print them."""
        output = f"em0: flags=0 metric 0 mtu 1500\n\t{line}\n".encode()
        assert parse.addresses(output) == (AddressSeen("em0", "10.0.0.1", 28),)


class TestRules:
    """``rctl jail:NAME``."""

    def test_only_the_named_jails(self) -> None:
        """A jail whose name begins alike is another jail; ``per`` is kept."""
        assert parse.rules(golden("rctl.txt"), "t1") == (
            Rule("t1", "openfiles", "deny", "9"),
            Rule("t1", "maxproc", "deny", "5"),
            Rule("t1", "memoryuse", "deny", "67108864", "process"),
            Rule("t1", "pcpu", "devctl", "50", "user"),
        )

    def test_text_is_read_back(self) -> None:
        """What a rule writes is what it reads."""
        for rule in parse.rules(golden("rctl.txt"), "t1"):
            assert parse.rules(rule.text().encode(), "t1") == (rule,)


class TestParameters:
    """``sysctl -N security.jail.param``."""

    def test_parameters_and_nodes(self) -> None:
        """A trailing dot marks a parameter with others below; a mere node is none."""
        names = parse.parameters(golden("sysctl-N-security.jail.param.txt"))
        assert {"linux", "host", "allow.mount", "ip4.addr", "vnet", "meta", "allow.raw_sockets"} <= names
        assert names.isdisjoint({"allow", "children", "cpuset", "mac", "", "security.jail.param"})
        assert not any(name.endswith(".") for name in names)


@pytest.mark.parametrize(
    "read",
    [
        parse.jails,
        parse.mounts,
        parse.text_mounts,
        parse.addresses,
        parse.parameters,
        lambda output: parse.rules(output, "t1"),
    ],
    ids=["jails", "mounts", "text_mounts", "addresses", "parameters", "rules"],
)
@given(
    output=st.one_of(
        st.binary(max_size=200),
        st.from_regex(
            r"em0: x\n\tinet6? [0-9a-f:.]{1,20} (netmask|prefixlen) [0-9a-fx.]{1,12}", fullmatch=True
        ).map(str.encode),
        st.from_regex(
            r'\{"(jail-information|mount)": ?(\{"(jail|mounted)": ?(\[\{("jid": ?"?[0-9a]{1,2}"?)?\}\]|[0-9])\}|[0-9])\}'
        ).map(str.encode),
    )
)
def test_any_output_gives_data_or_a_host_error(read: Callable[[bytes], object], output: bytes) -> None:
    """Unexpected output never surfaces as anything but a HostError."""
    with contextlib.suppress(HostError):
        assert isinstance(read(output), tuple | frozenset)
