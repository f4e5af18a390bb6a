"""The FreeBSD adapter over recorded commands: exact command lines, and what each refusal means."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from host.adapter_done import DONE
from host.adapter_refused import NEVER_RUN, REFUSED
from host.adapter_rows import NULLFS, ROOT, TABLE, VIEW, VIEW_SEEN, Call, Row, table
from host.replay import NATIVE, Replay
from jail_driver.errors import ConfigError
from jail_driver.host.errors import HostError
from jail_driver.host.freebsd import FreeBSDHost
from jail_driver.host.port import AddressSeen, JailSeen, MountSeen

JLS = "jls -d --libxo json jid name path host.hostname dying"


@pytest.mark.parametrize(("call", "rows", "expected"), DONE.values(), ids=DONE.keys())
def test_done(call: Call, rows: list[Row], expected: Any) -> None:
    """Each operation is exactly these commands; what is gone already is success."""
    replay = Replay(*rows)
    assert asyncio.run(_awaited(call, replay.host())) == expected
    assert replay.rows == []


@pytest.mark.parametrize(("call", "rows", "kind", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(call: Call, rows: list[Row], kind: type[HostError], words: str) -> None:
    """A refusal says what was being done, in the command's own words, and is of the kind to act on."""
    replay = Replay(*rows)
    with pytest.raises(HostError) as caught:
        asyncio.run(_awaited(call, replay.host()))
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert replay.rows == []


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


def test_another_tasks_mount_of_the_same_source_is_no_stray() -> None:
    """Many tasks share one Path: what one of them mounts is never unmounted for another's missing mount."""
    other = ("/jails/r", "/db/t2/root", "nullfs", "0aff002929000000")
    replay = Replay(
        table(),
        ("mount -t nullfs /jails/r /db/t2/root", 0, "", ""),
        (NULLFS, 0, "", ""),
        table(other),
    )

    async def scenario() -> tuple[MountSeen | BaseException, MountSeen | BaseException]:
        adapter = replay.host()
        theirs = adapter.mount("nullfs", "/jails/r", Path("/db/t2/root"))
        return await asyncio.gather(theirs, adapter.mount("nullfs", "/jails/r", ROOT), return_exceptions=True)

    theirs, ours = asyncio.run(scenario())
    assert theirs == MountSeen(*other)
    assert isinstance(ours, HostError)
    assert "not in the mount table" in str(ours)


def test_a_host_without_zfs() -> None:
    """Where the program is missing nothing is run, and the error says what is missing."""
    host = FreeBSDHost(replace(NATIVE, zfs=""), Replay())
    with pytest.raises(HostError, match=r"this host has no zfs\(8\)"):
        asyncio.run(host.attach_dataset(7, "tank/a"))


async def _awaited(call: Call, on: FreeBSDHost) -> Any:
    return await call(on)
