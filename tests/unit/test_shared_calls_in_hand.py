"""Which calls a busy server refuses."""

from __future__ import annotations

import asyncio

from services.shared.calls_in_hand import CallsInHand, Held
from services.shared.errors import TooManyCalls


class Waiting:
    """A call that waits until it is let go, and says how it ended."""

    def __init__(self, calls: CallsInHand, shop_id: str) -> None:
        self.go = asyncio.Event()
        self.held: Held | None = None
        self.task = asyncio.create_task(self._answer(calls, shop_id))

    async def _answer(self, calls: CallsInHand, shop_id: str) -> str:
        try:
            self.held = held = calls.take(shop_id, asyncio.current_task(), 1.0)
        except TooManyCalls:
            return "refused"
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            return "shed" if held.is_shed else "cancelled"
        finally:
            calls.end(held)
        return "answered"


async def come(calls: CallsInHand, *shops: str) -> list[Waiting]:
    """Calls of these shops, one after the other."""
    found = []
    for shop in shops:
        found.append(Waiting(calls, shop))
        await asyncio.sleep(0)
    return found


async def ends(waiting: list[Waiting]) -> list[str]:
    """How they end once all are let go."""
    for each in waiting:
        each.go.set()
    return list(await asyncio.gather(*(each.task for each in waiting)))


async def test_calls_beyond_the_bound_of_one_shop_are_refused_newest_first() -> None:
    """Who came first is answered."""
    calls = CallsInHand(3)
    assert await ends(await come(calls, *["a"] * 5)) == ["answered"] * 3 + ["refused"] * 2


async def test_a_quiet_shop_takes_the_place_of_a_noisy_ones_newest_call() -> None:
    """The noisy shop's newest is ended with the reason, its older ones go on."""
    calls = CallsInHand(4)
    waiting = await come(calls, "noisy", "noisy", "noisy", "noisy", "quiet")
    assert await ends(waiting) == ["answered"] * 3 + ["shed", "answered"]


async def test_shops_that_send_alike_are_refused_alike() -> None:
    """With the same number in hand, the newcomer is refused, whoever it is."""
    calls = CallsInHand(4)
    waiting = await come(calls, "a", "b", "a", "b", "a", "b")
    assert await ends(waiting) == ["answered"] * 4 + ["refused"] * 2


async def test_a_noisy_shop_is_refused_while_a_quiet_one_has_room() -> None:
    """It cannot push out those with fewer calls than its own."""
    calls = CallsInHand(3)
    waiting = await come(calls, "quiet", "noisy", "noisy", "noisy")
    assert await ends(waiting) == ["answered"] * 3 + ["refused"]


async def test_room_is_made_anew_when_calls_end() -> None:
    """A full server takes the next call once one has ended."""
    calls = CallsInHand(1)
    assert await ends(await come(calls, "a")) == ["answered"]
    assert await ends(await come(calls, "a")) == ["answered"]
