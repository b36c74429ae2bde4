"""Which calls a busy server refuses."""

from __future__ import annotations

import asyncio

import pytest

from services.shared.calls_in_hand import LEAST, MEASURED_CALLS, WAIT_SECONDS, CallsInHand, Held
from services.shared.errors import TooManyCalls


class Machine:
    """A clock and a processor that stand still until told."""

    def __init__(self) -> None:
        self.now = self.spent = 0.0

    def calls(self, most: int) -> CallsInHand:
        return CallsInHand(most, processor=lambda: self.spent, clock=lambda: self.now)


class Waiting:
    """A call that waits until it is let go, and says how it ended."""

    def __init__(self, calls: CallsInHand, shop_id: str) -> None:
        self.go = asyncio.Event()
        self.held: Held | None = None
        self.task = asyncio.create_task(self._answer(calls, shop_id))

    async def _answer(self, calls: CallsInHand, shop_id: str) -> str:
        try:
            self.held = held = calls.take(shop_id, asyncio.current_task())
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
    calls = Machine().calls(3)
    assert await ends(await come(calls, *["a"] * 5)) == ["answered"] * 3 + ["refused"] * 2


async def test_a_quiet_shop_takes_the_place_of_a_noisy_ones_newest_call() -> None:
    """The noisy shop's newest is ended with the reason, its older ones go on."""
    calls = Machine().calls(4)
    waiting = await come(calls, "noisy", "noisy", "noisy", "noisy", "quiet")
    assert await ends(waiting) == ["answered"] * 3 + ["shed", "answered"]


async def test_shops_that_send_alike_are_refused_alike() -> None:
    """With the same number in hand, the newcomer is refused, whoever it is."""
    calls = Machine().calls(4)
    waiting = await come(calls, "a", "b", "a", "b", "a", "b")
    assert await ends(waiting) == ["answered"] * 4 + ["refused"] * 2


async def test_a_noisy_shop_is_refused_while_a_quiet_one_has_room() -> None:
    """It cannot push out those with fewer calls than its own."""
    calls = Machine().calls(3)
    waiting = await come(calls, "quiet", "noisy", "noisy", "noisy")
    assert await ends(waiting) == ["answered"] * 3 + ["refused"]


async def test_room_is_made_anew_when_calls_end() -> None:
    """A full server takes the next call once one has ended."""
    calls = Machine().calls(1)
    assert await ends(await come(calls, "a")) == ["answered"]
    assert await ends(await come(calls, "a")) == ["answered"]


@pytest.mark.parametrize(
    ("milliseconds", "bound"), [(1.0, WAIT_SECONDS * 1_000), (100.0, LEAST), (0.001, 1_000)]
)
async def test_the_bound_follows_from_what_a_call_takes(milliseconds: float, bound: float) -> None:
    """As many as are answered within the time that one may wait; never under the least."""
    machine = Machine()
    calls = machine.calls(1_000)
    for _ in range(MEASURED_CALLS):
        held = calls.take("a", None)
        machine.spent += milliseconds / 1_000
        machine.now += 1.0
        calls.end(held)
    assert calls.bound == bound
