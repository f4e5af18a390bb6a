"""ifconfig and route, in a network namespace of the test's own."""

import pytest

from standins.toolbox import Toolbox

# script, status, output, errors
ROWS = [
    ("ifconfig -l", 0, "lo0\n", ""),
    ("ifconfig nosuch0", 1, "", "ifconfig: interface nosuch0 does not exist\n"),
    ("ifconfig lo0 inet 127.0.7.1/24 alias; ifconfig lo0 inet 127.0.7.1/32 alias; ifconfig lo0 | grep 127.0.7", 0,
     "\tinet 127.0.7.1 netmask 0xffffffff\n", ""),
    ("ifconfig lo0 inet 127.0.7.1/24 alias; ifconfig lo0 inet 127.0.7.1 -alias; ifconfig lo0 inet 127.0.7.1 -alias",
     1, "", "ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address\n"),
    ("ifconfig lo0 inet6 fd00::9/64 alias; ifconfig lo0 inet6 fd00::9/64 alias; echo $?; ifconfig lo0 inet6 fd00::9/128 alias; echo $?; ifconfig lo0 inet6 fd00::9 -alias", 0,
     "0\n1\n", "ifconfig: ioctl (SIOCAIFADDR): Invalid argument\n"),
    ("ifconfig lo0 inet6 fd00::7/128 alias; ifconfig lo0 | grep fd00; ifconfig lo0 inet6 fd00::7 -alias; ifconfig lo0 inet6 fd00::7 -alias", 1, "\tinet6 fd00::7 prefixlen 128\n",
     "ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address\n"),
    ("ifconfig lo0 inet 10.1.0.1 netmask 255.255.255.255 alias; ifconfig lo0 | grep 10.1", 0,
     "\tinet 10.1.0.1 netmask 0xffffffff\n", ""),
    ("ifconfig lo0 inet 10.1.0.1 netmask 0xffff0000 alias; ifconfig lo0 | grep 10.1", 0,
     "\tinet 10.1.0.1 netmask 0xffff0000\n", ""),
    ("ifconfig lo0 inet 300.1.1.1 alias", 1, "", "ifconfig: 300.1.1.1: bad value\n"),
    ("ifconfig epair create; ifconfig epair0 create", 1, "epair0a\n",
     "ifconfig: interface epair0 already exists\n"),
    ("ifconfig epair7 create; ifconfig epair7a destroy; ifconfig -l", 0, "epair7a\nlo0\n", ""),
    ("ifconfig epair create; ifconfig -l; ifconfig epair0a destroy; ifconfig epair0a destroy", 1,
     "epair0a\nlo0 epair0a epair0b\n", "ifconfig: interface epair0a does not exist\n"),
    ("ifconfig bridge create; ifconfig bridge0 destroy; ifconfig -l", 0, "bridge0\nlo0\n", ""),
    ("ifconfig epair create; ifconfig epair0b name e0b_web; ifconfig -l", 0,
     "epair0a\ne0b_web\nlo0 epair0a e0b_web\n", ""),
    ("ifconfig -j nosuch -l", 1, "", "ifconfig: jail not found: No such file or directory\n"),
    ("ifconfig epair create; ifconfig epair0b vnet nosuch", 1, "epair0a\n", 'ifconfig: jail "nosuch" not found\n'),
    ("jail -c name=jl1 path=/ persist vnet; ifconfig nosuch0 vnet jl1", 1, "",
     "ifconfig: interface nosuch0 does not exist\n"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "status", "out", "err"), ROWS, ids=[row[0][:60] for row in ROWS])
def test_row(network: Toolbox, script: str, status: int, out: str, err: str) -> None:
    """Each command line ends with FreeBSD's status and words."""
    assert network.sh(script) == (status, out, err)


class TestAddresses:
    """Adding and removing one address touches no other."""

    def test_a_primary_address_goes_alone(self, network: Toolbox) -> None:
        """Linux drops a network's secondary addresses with its primary one; FreeBSD does not, nor do we."""
        network.ok(
            "for n in 1 2 3; do ifconfig lo0 inet 10.9.0.$n/24 alias; done; ifconfig lo0 inet 10.9.0.1 -alias"
        )
        shown = [line.split()[1] for line in network.ok("ifconfig lo0 | grep 'inet 10'").splitlines()]
        assert sorted(shown) == ["10.9.0.2", "10.9.0.3"]

    def test_a_broadcast_address(self, network: Toolbox) -> None:
        """An address with a network on an Ethernet gets the network's broadcast address."""
        network.ok("ifconfig epair create; ifconfig epair0a inet 10.5.0.2/24")
        assert "\tinet 10.5.0.2 netmask 0xffffff00 broadcast 10.5.0.255\n" in network.ok("ifconfig epair0a")
        assert "<UP," in network.ok("ifconfig epair0a")


class TestBridge:
    """Members of a bridge."""

    def test_members(self, network: Toolbox) -> None:
        """Addm and deletem change the member lines; a second addm and a stranger are refused."""
        network.ok("ifconfig epair create; ifconfig bridge create; ifconfig bridge0 addm epair0a up")
        assert "\tmember: epair0a flags=143<" in network.ok("ifconfig bridge0")
        assert network.sh("ifconfig bridge0 addm epair0a").err == "ifconfig: BRDGADD epair0a: File exists\n"
        assert network.sh("ifconfig bridge0 addm nosuch0").err == (
            "ifconfig: BRDGADD nosuch0: No such file or directory\n"
        )
        assert network.sh("ifconfig bridge0 deletem nosuch0").err == (
            "ifconfig: BRDGDEL nosuch0: No such file or directory\n"
        )
        network.ok("ifconfig bridge0 deletem epair0a")
        assert "member" not in network.ok("ifconfig bridge0")


class TestVnet:
    """A jail's own network."""

    @pytest.fixture
    def jailed(self, network: Toolbox) -> Toolbox:
        """A jail with one end of an epair inside."""
        network.ok("ifconfig epair create; jail -c name=jl1 path=/ persist vnet; ifconfig epair0b vnet jl1")
        return network

    def test_in_and_out(self, jailed: Toolbox) -> None:
        """The interface is in one network at a time; taking it out twice says "not configured"."""
        assert jailed.ok("ifconfig -l; jexec jl1 ifconfig -l; ifconfig -j jl1 -l") == (
            "lo0 epair0a\nlo0 epair0b\nlo0 epair0b\n"
        )
        jailed.ok("ifconfig epair0b -vnet jl1")
        assert set(jailed.ok("ifconfig -l").split()) == {"lo0", "epair0a", "epair0b"}
        said = jailed.sh("ifconfig epair0b -vnet jl1")
        assert said == (1, "", "ifconfig: SIOCSIFRVNET(1, epair0b): Device not configured\n")

    def test_it_comes_back_with_the_jails_end(self, jailed: Toolbox) -> None:
        """Removal returns what came from outside, renamed as it is, and destroys what was made inside."""
        jailed.ok(
            "jexec jl1 ifconfig epair0b name eth0; jexec jl1 ifconfig epair create; jail -R jl1; jls -d"
        )
        assert set(jailed.ok("ifconfig -l").split()) == {"lo0", "epair0a", "eth0"}

    def test_traffic(self, jailed: Toolbox) -> None:
        """A program outside reaches one inside over the pair."""
        jailed.ok("ifconfig epair0a inet 10.5.0.1/24; ifconfig -j jl1 epair0b inet 10.5.0.2/24")
        server = "import socket; s = socket.create_server(('10.5.0.2', 7)); s.accept()[0].sendall(b'hi')"
        client = (
            "import socket, time\n"
            "for _ in range(100):\n"
            "    try: print(socket.create_connection(('10.5.0.2', 7), 5).recv(9).decode()); break\n"
            "    except OSError: time.sleep(0.05)\n"
        )
        jailed.ok(f'jexec jl1 python3 -c "{server}" >/dev/null 2>&1 &')
        assert jailed.ok(f'python3 -c "{client}"') == "hi\n"

    def test_a_pair_keeps_its_number_under_any_name(self, jailed: Toolbox) -> None:
        """The number of a renamed and lent pair is not given out again."""
        jailed.ok("ifconfig epair0a name left")
        assert jailed.ok("ifconfig epair create") == "epair1a\n"

    def test_default_route_inside(self, jailed: Toolbox) -> None:
        """Route works inside a jail's network, said like FreeBSD's."""
        jailed.ok("ifconfig -j jl1 epair0b inet 10.5.0.2/24; ifconfig epair0a up")
        assert jailed.ok("route -j jl1 add default 10.5.0.1") == "add net default: gateway 10.5.0.1\n"
        assert "gateway: 10.5.0.1" in jailed.ok("route -j jl1 -n get default")
        said = jailed.sh("route -j jl1 add default 10.5.0.1")
        assert (said.status, said.out) == (
            1,
            "add net default: gateway 10.5.0.1 fib 0: route already in table\n",
        )
        assert jailed.ok("route -j jl1 delete default") == "delete net default\n"
        assert jailed.sh("route -n get default").status == 1

    def test_a_jail_without_a_network_takes_no_interface(self, network: Toolbox) -> None:
        """Only a vnet jail has a place for an interface."""
        network.ok("ifconfig epair create; jail -c name=jl1 path=/ persist")
        assert network.sh("ifconfig epair0b vnet jl1").status == 1
        assert "epair0b" in network.ok("ifconfig -l")
