"""jail, jls and jexec: what FreeBSD 15.1 printed and returned, row by row."""

import json
import re

import pytest

from standins.toolbox import Toolbox

HEADER = "   JID  IP Address      Hostname                      Path\n"
# script, status, output, errors; J stands for the jail's number
ROWS = [
    ("jail -c name=jl1 path=/ persist", 0, "", ""),
    ("jail -c name=jl1 path=/ persist; jail -c name=jl1 path=/ persist", 1, "", 'jail: "J" already exists\n'),
    ("jls -j missing jid", 1, "", 'jls: jail "missing" not found\n'),
    ("jls -j missing", 1, HEADER, 'jls: jail "missing" not found\n'),
    ("jls -j 9999", 1, HEADER, "jls: jail 9999 not found\n"),
    ("jls nosuchparam", 1, "", "jls: unknown parameter: nosuchparam\n"),
    ("jail -c name=jl1 path=/ persist; jls -j jl1 name path host.hostname", 0, 'jl1 / ""\n', ""),
    ("jail -c name=jl1 path=/ persist; jls -h -j jl1 name path", 0, "name path\njl1 /\n", ""),
    ("jail -c name=jl1 path=/ persist; jls -j jl1 -n name persist dying", 0, "name=jl1 persist nodying\n", ""),
    ("jail -c name=jl1 path=/ persist; jls -j jl1 ip4.addr name", 0, "- jl1\n", ""),
    ("jail -c name=jl1 path=/ persist; jls -c -j jl1; echo $?; jls -c -j missing", 1, "0\n", ""),
    ("jail -c name=jl1 path=/ persist host.hostname=a; jail -m name=jl1 host.hostname=b; jls -j jl1 host.hostname",
     0, "b\n", ""),
    ("jail -cm name=jl1 path=/ persist; jail -cm name=jl1 persist host.hostname=foo; jls -j jl1 host.hostname",
     0, "foo\n", ""),
    ("jail -m name=missing host.hostname=bar", 1, "", 'jail: "missing" not found\n'),
    ("jail -c name=jl1 path=/ persist; jail -r jl1; jail -r jl1", 1, "", 'jail: "jl1" not found\n'),
    ("jail -R missing", 1, "", 'jail: "missing" not found\n'),
    ("jail -r 9999", 1, "", 'jail: "9999" not found\n'),
    ("jail -r '*'", 0, "", ""),
    ("jail -c name=jl1 path=/ nosuchparam=1 persist", 1, "", "jail: unknown parameter: nosuchparam\n"),
    ("jail -c name=jl1 path=/nonexistent persist", 1, "", "jail: path /nonexistent: No such file or directory\n"),
    ("jail -c name=jl1 path=relative persist", 1, "", "jail: path relative: No such file or directory\n"),
    ("jail -c name=jl1 path=/etc/passwd persist", 1, "", "jail: path /etc/passwd: Not a directory\n"),
    ("jail -c name=jl1 path=/", 1, "", "jail: new jail must persist or attach\n"),
    ("jail -c name=jl1 path=/ persist allow.raw_sockets=yes", 1, "",
     'jail: allow.raw_sockets: unknown boolean value "yes"\n'),
    ("jail -c name=jl1 path=/ persist allow.raw_sockets=1; jls -j jl1 -n allow.raw_sockets", 0,
     "allow.raw_sockets\n", ""),
    ("jail -c name=jl1 path=/ persist allow.noraw_sockets; jls -j jl1 -n allow.raw_sockets", 0,
     "allow.noraw_sockets\n", ""),
    ("jail -c name=jl1 path=/ persist noallow.chflags", 1, "", "jail: unknown parameter: noallow.chflags\n"),
    ("jail -c name=jl1 path=/ persist enforce_statfs=9", 1, "", "jail: jail_set: Invalid argument\n"),
    ("jail -c name=jl1 path=/ persist securelevel=abc", 1, "", 'jail: securelevel: non-integer value "abc"\n'),
    ("jail -c name=jl1 path=/ persist ip4=sometimes", 1, "", 'jail: ip4: unknown jailsys value "sometimes"\n'),
    ("jail -c name=jl1 path=/ persist dying=1", 1, "", "jail: unknown parameter: dying\n"),
    ("jail -c name=jl1 path=/ persist parent=1", 1, "", "jail: unknown parameter: parent\n"),
    ("jail -c name=jl1 path=/ persist name=zzz", 1, "", 'jail: cannot redefine parameter "name".\n'),
    ("jail -c name=jl1 path=/ persist ip4.addr=999.0.0.1", 1, "", "jail: ip4.addr: not an IPv4 address: 999.0.0.1\n"),
    ("jail -c name=jl1 path=/ persist vnet=new ip4.addr=127.0.0.9", 1, "",
     "jail: vnet jails cannot have IP address restrictions\n"),
    *((f"jail -c name=jl1 path=/ persist {pair}", 1, "", "jail: vnet jails cannot have IP address restrictions\n")
      for pair in ("vnet=inherit ip4=inherit", "vnet=new ip4=inherit", "vnet=new ip6=disable",
                   "vnet=inherit ip4.addr=127.0.0.9")),
    ("jail -c name=jl1 path=/ persist vnet=new ip4.saddrsel=0; jls -j jl1 -n vnet ip4", 0,
     "vnet=new ip4=inherit\n", ""),
    ("jail -c name=jl1 path=/ persist vnet=disable", 1, "", "jail: jail_set: Invalid argument\n"),
    ("jail -c name=jl1 path=/ persist children.max=999999", 1, "", "jail: jail_set: Operation not permitted\n"),
    ("jail -c name=jl1 path=/ persist children.max=999998; jls -j jl1 children.max", 0, "999998\n", ""),
    ("jail -c name=jl1 path=/ persist securelevel=-2", 1, "", "jail: jail_set: Operation not permitted\n"),
    ("jail -c name=jl1 path=/ persist osreldate=0", 1, "", "jail: osreldate cannot be 0\n"),
    (f"jail -c name=jl1 path=/ persist osrelease={'x' * 31}", 1, "",
     "jail: osrelease string must be 1-31 bytes long\n"),
    (f"jail -c name=jl1 path=/ persist osrelease={'x' * 30}; jls -j jl1 osrelease", 0, "x" * 30 + "\n", ""),
    *((f"jail -c name=jl1 path=/ persist linux.osrelease={release}", 1, "", "jail: linux.osrelease format error\n")
      for release in ("x", "5.1", "0.1.2", "5.1.2-", "5.1.2.3")),
    ("jail -c name=jl1 path=/ persist linux.osrelease=5.1.2-foo; jls -j jl1 linux.osrelease", 0, "5.1.2-foo\n", ""),
    ("jail -c name=jl1 path=/ persist ip4=inherit; jls -j jl1 ip4 ip4.addr", 0, "inherit -\n", ""),
    ("jail -c name=jl1 path=/ persist ip4.addr=127.9.9.9; jls -j jl1 -n ip4 ip4.addr", 0,
     "ip4=disable ip4.addr=127.9.9.9\n", ""),
    ("jail -c name=jl1 path=/ persist meta='task=1 a=b' env=K=v; jls -j jl1 -n meta env", 0,
     "meta=task=1 a=b env=K=v\n", ""),
    ("jail -c name=jl1 path=/ persist meta.foo=bar env.PATH=/x; jls -j jl1 meta.foo; jls -j jl1 -n meta env", 0,
     "bar\nmeta=foo=bar env=PATH=/x\n", ""),
    ("jail -c name=jl1.c path=/ persist", 1, "", 'jail: jail "jl1" not found\n'),
    ("jail -c name='jl 1' path=/ persist; jls -n name; jail -r 'jl 1'", 0, "name=jl 1\n", ""),
    ("jail -c name=jl1 path=/ persist; jail -m name=jl1 path=/tmp", 1, "",
     "jail: path cannot be changed after creation\n"),
    ("jail -c persist", 1, "", "jail: /etc/jail.conf: No such file or directory\n"),
    ("jail -d -c name=jl1 path=/ persist", 0, "",
     "jail: the 'allow.dying' parameter and '-d' flag are deprecated and have no effect.\n"),
    ("jexec missing /bin/sh", 1, "", 'jexec: jail "missing" not found\n'),
    ("jexec 9999 /bin/sh", 1, "", "jexec: jail 9999 not found\n"),
    ("jail -c name=jl1 path=/ persist; jexec jl1 /bin/sh -c 'exit 7'", 7, "", ""),
    ("jail -c name=jl1 path=/ persist; jexec jl1 /nonexistent", 1, "",
     "jexec: execvp: /nonexistent: No such file or directory\n"),
    ("jail -c name=jl1 path=/ persist; jexec jl1 nosuchcmd", 1, "",
     "jexec: execvp: nosuchcmd: No such file or directory\n"),
    ("jail -c name=jl1 path=/ persist; jexec -U nosuch jl1 env", 1, "", "jexec: nosuch: no such user\n"),
    ("jail -c name=jl1 path=/ persist; jexec -u 65534 jl1 env", 1, "", "jexec: 65534: no such user\n"),
    ("jail -c name=jl1 path=/ persist; cd /etc; jexec jl1 /bin/pwd", 0, "/\n", ""),
    ("jail -c name=jl1 path=/ persist; jexec -d /usr jl1 /bin/pwd", 0, "/usr\n", ""),
    ("jail -c name=jl1 path=/ persist; jexec -d /nonexist jl1 /bin/pwd", 1, "",
     "jexec: chdir(): /nonexist: No such file or directory\n"),
    ("jail -c name=jl1 path=/ persist; jexec -u nobody jl1 id -un", 0, "nobody\n", ""),
    ("jail -c name=jl1 path=/ command=/bin/echo hi there", 0, "hi there\n", ""),
    ("jail -c name=jl1 path=/ command=/bin/sh -c 'exit 5'", 1, "", "jail: /bin/sh -c exit 5: failed\n"),
    ("jail -c name=jl1 path=/ command=/nonexistent", 1, "",
     "jail: exec /nonexistent: No such file or directory\njail: /nonexistent: failed\n"),
    ("jail -c name=jl1 path=/ persist ip4.addr=127.0.8.1; jail -c name=jl2 path=/ persist ip4.addr=127.0.8.1", 0,
     "", ""),
    ("jail -c name=jl1 path=/ persist ip4.addr=127.0.8.1; jail -c name=jl2 path=/ persist ip4.addr=127.0.8.1,127.0.8.2", 1, "", "jail: IPv4 addresses clash\n"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "status", "out", "err"), ROWS, ids=[row[0][:60] for row in ROWS])
def test_row(tools: Toolbox, script: str, status: int, out: str, err: str) -> None:
    """Each command line ends with FreeBSD's status and words."""
    said = tools.sh(script)
    if "J" in err:
        err = err.replace("J", tools.ok("jls -j jl1 jid").strip())
    assert said == (status, out, err)


def test_json_of_no_jail(standins: Toolbox) -> None:
    """`jls --libxo json` is libxo's layout to the byte, as a parser's golden file may be."""
    assert standins.ok("jls --libxo json") == '{"__version": "2", "jail-information": {"jail": []}}\n'


def test_json_forms(standins: Toolbox) -> None:
    """The default, verbose and named forms differ in field names and types as libxo's do."""
    standins.ok("jail -c name=t1 path=/ persist ip4.addr=127.0.0.5")
    start = '{"__version": "2", "jail-information": {"jail": [{'
    assert (
        standins.ok("jls --libxo json")
        == f'{start}"jid":1,"ipv4":"127.0.0.5","hostname":"","path":"/"}}]}}}}\n'
    )
    assert standins.ok("jls --libxo json -v") == (
        f'{start}"jid":1,"hostname":"","path":"/","name":"t1","state":"ACTIVE","cpusetid":3, '
        '"ipv4_addrs": ["127.0.0.5"], "ipv6_addrs": []}]}}\n'
    )
    assert standins.ok("jls --libxo json jid name path host.hostname ip4.addr dying") == (
        f'{start}"jid":"1","name":"t1","path":"/","host.hostname":"", "ip4.addr": ["127.0.0.5"],"dying":"false"}}]}}}}\n'
    )
    assert standins.ok("jls --libxo json -n jid dying persist") == (
        f'{start}"jid":"1","dying":false,"persist":true}}]}}}}\n'
    )


def test_all_parameters(standins: Toolbox) -> None:
    """`jls -n` shows every parameter once, plain names before dotted ones, and JSON says the same."""
    standins.ok("jail -c name=t1 path=/ persist")
    words = standins.ok("jls -n").split()
    assert words[:5] == ["devfs_ruleset=0", "nodying", "enforce_statfs=2", 'env=""', "host=new"]
    assert "allow.mount.nodevfs" in words
    assert words[-1] == "linux.oss_version=198144"
    [record] = json.loads(standins.ok("jls --libxo json -n"))["jail-information"]["jail"]
    assert len(record) == len(words)
    assert record["allow.extattr"] is True
    assert record["ip4.addr"] == []


@pytest.mark.parametrize("text", ['a;b {$HOME} "q" \'é', "x\ny", "=,|", "\\back\\"])
def test_any_text_arrives(tools: Toolbox, text: str) -> None:
    """Values are arguments: no quote, blank, newline or letter in one means anything."""
    quoted = "'" + text.replace("'", "'\\''") + "'"
    tools.ok(f"jail -c name=jl1 path=/ persist host.hostname={quoted} meta={quoted}")
    data = json.loads(tools.ok("jls -j jl1 --libxo json host.hostname meta"))
    assert data["jail-information"]["jail"] == [{"host.hostname": text, "meta": text}]


def test_numbers(standins: Toolbox) -> None:
    """A numeric name is the number; numbers are not given out twice; `jid=` takes one."""
    standins.ok(
        "jail -c name=a path=/ persist; jail -c name=123 path=/ persist; jail -r a; jail -c name=b path=/ persist"
    )
    standins.ok("jail -c jid=7 name=c path=/ persist")
    assert standins.ok("jls jid name") == "2 b\n7 c\n123 123\n"
    assert standins.ok("jail -c -i path=/ name= persist") == "3\n"
    assert standins.sh("jail -c name=5 jid=6 path=/ persist").err == (
        "jail: name cannot be numeric (unless it is the jid)\n"
    )


def test_several_removed_at_once(standins: Toolbox) -> None:
    """`jail -r a b missing` removes what is there, names it, and says what is missing."""
    standins.ok("for i in 1 2; do jail -c name=a$i path=/ persist; done")
    said = standins.sh("jail -r a1 a2 a3")
    assert (said.status, said.out, said.err) == (1, "a2: removed\na1: removed\n", 'jail: "a3" not found\n')


def test_children_go_with_their_parent(standins: Toolbox) -> None:
    """Removing a jail removes the jails below it."""
    standins.ok("jail -c name=p path=/ persist; jail -c name=p.c path=/ persist")
    assert standins.ok("jls -n jid name parent") == "jid=1 name=p parent=0\njid=2 name=p.c parent=1\n"
    standins.ok("jail -r p")
    assert standins.ok("jls -d jid") == ""


def test_login_environment(tools: Toolbox) -> None:
    """-U and -u set what login.conf sets, -l starts from nothing but TERM."""
    tools.ok("jail -c name=jl1 path=/ persist")
    plain = tools.ok("A=1 HOME=/x jexec jl1 env").split("\n")
    named = tools.ok("A=1 HOME=/x PATH=$PATH jexec -U root jl1 env").split("\n")
    clean = tools.ok("A=1 TERM=t jexec -l jl1 env").split("\n")
    assert {"A=1", "HOME=/x"} <= set(plain)
    assert {"A=1", "HOME=/root", "USER=root", "MAIL=/var/mail/root", "BLOCKSIZE=K"} <= set(named)
    assert "PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/root/bin" in named
    names = {line.partition("=")[0] for line in clean if line}
    assert names == {"BLOCKSIZE", "HOME", "LANG", "MAIL", "MM_CHARSET", "PATH", "SHELL", "TERM", "USER"}


def test_a_stand_in_names_what_it_does_not_keep(standins: Toolbox) -> None:
    """Hooks, mounts and interface addresses are jail(8)'s own work: refused by name, never ignored."""
    for word in ("exec.start=true", "mount.devfs", "vnet.interface=e0", "ip4.addr=lo0|127.0.0.2/32"):
        said = standins.sh(f"jail -c name=t1 path=/ persist '{word}'")
        assert said.status == 1
        assert re.search("stand-in", said.err)
    assert standins.ok("jls jid") == ""
