"""How many jail tools run at once."""

from __future__ import annotations

import asyncio

from jail_driver.host.shell import Slots


def test_no_more_at_once_than_there_are_places() -> None:
    """Whoever comes later waits, and has its turn in the order of coming."""
    running: list[int] = []
    most = 0
    order: list[int] = []

    async def tool(slots: Slots, number: int) -> None:
        nonlocal most
        async with slots.place():
            running.append(number)
            order.append(number)
            most = max(most, len(running))
            await asyncio.sleep(0.01)
            running.remove(number)

    async def main() -> None:
        slots = Slots(3, hold_s=60)
        await asyncio.gather(*(tool(slots, number) for number in range(10)))

    asyncio.run(main())
    assert most == 3
    assert order == list(range(10))


def test_a_tool_that_hangs_gives_its_place_away() -> None:
    """Every place taken by a command that hangs: the others go on, and no place is given twice."""

    async def main() -> int:
        slots = Slots(2, hold_s=0.05)
        end = asyncio.Event()

        async def hung() -> None:
            async with slots.place():
                await end.wait()

        hanging = [asyncio.create_task(hung()) for _ in range(2)]
        await asyncio.sleep(0)
        async with asyncio.timeout(5), slots.place():
            pass
        end.set()
        await asyncio.gather(*hanging)
        free = 0
        async with asyncio.timeout(5):
            while not slots._places.locked():
                await slots._places.acquire()
                free += 1
        return free

    assert asyncio.run(main()) == 2
