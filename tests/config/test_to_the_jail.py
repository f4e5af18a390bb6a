"""From a job's text to the jail that jls(8) shows: the whole way through the host's own commands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host.worlds import World
from jail_driver.config.task import KernelFacts, parse_task_config

TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)
NASTY = st.sampled_from(
    ["'", '"', "$HOME", "${x}", "; rm -rf /", "a=b", "a,b", "{}", "a\nb", "é\u2028", "-o", "persist", "name=x", "\\", "a b", "%s"]
)  # fmt: skip


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for all examples of a test: a host belongs to one."""
    with asyncio.Runner() as runner:
        yield runner


@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=st.one_of(NASTY, TEXT), meta=st.one_of(NASTY, TEXT))
def test_text_survives(world: World, loop: asyncio.Runner, text: str, meta: str) -> None:
    """Any text is one value of one parameter: the jail has it, byte for byte, and nothing besides."""

    async def scenario() -> None:
        kernel = KernelFacts(await world.host.kernel_parameters())
        wanted = {"Persist": True, "Host_hostname": text} | (
            {"Meta": meta} if "meta" in kernel.parameters else {}
        )
        config = parse_task_config(wanted, kernel)
        root = world.scratch / "root"
        root.mkdir(exist_ok=True)
        jid = await world.host.create_jail("contract-text", root, config.params)
        jails = await world.host.jails()
        await world.host.remove_jail(jid)
        await world.gone(jid)
        [seen] = [jail for jail in jails if jail.jid == jid]
        assert (seen.name, seen.path, seen.hostname) == ("contract-text", str(root), text)
        assert seen.meta == wanted.get("Meta", "")

    loop.run(scenario())
