"""Who names a position waits until the profile knows the event, and never too long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from itertools import islice

import pytest

from services.recommendations.adapters.folded_profiles import Found, MemoryFoldedProfiles
from services.recommendations.adapters.position_reader import (
    WAIT_SECONDS,
    PositionReader,
    pauses,
)
from services.recommendations.adapters.profiles import ProfileReader
from services.shared.errors import RedisUnavailable
from services.shared.folded import Folded, Position
from services.shared.profile import EMPTY, Link, Profile, Touch
from services.shared.profile_codec import encode
from services.shared.profile_store import NOTHING, MemoryProfileStore, Write
from services.shared.subject import event_key

TOPIC = "8e0c8f3c-3f6c-4a4e-9d0b-1f3f3a5d0c11"
EVENT = Position(TOPIC, 2, 15)
ANA, PHONE = "u:ana", "v:phone"
BEFORE = Profile(first_seen=1, last_seen=1)
AFTER = Profile(first_seen=1, last_seen=9, views=(Touch(9, 9, 0, "mug"),))


class Watched(MemoryFoldedProfiles):
    """Counts what is asked, and fails when told to."""

    def __init__(self, store: MemoryProfileStore) -> None:
        super().__init__(store)
        self.looks = self.polls = 0
        self.fails = False

    async def folded(self, position: Position) -> Folded | None:
        self.polls += 1
        if self.fails:
            raise RedisUnavailable("gone")
        return await super().folded(position)

    async def look(self, position: Position, names: Sequence[bytes]) -> Found:
        self.looks += 1
        if self.fails:
            raise RedisUnavailable("gone")
        return await super().look(position, names)


class Shop:
    """A shopper's profile, and a reader whose pauses a test fills."""

    def __init__(self) -> None:
        self.now = 100.0
        self.store = MemoryProfileStore()
        self.folded = Watched(self.store)
        self.then: dict[int, Callable[[], Awaitable[None]]] = {}
        """By the number of a pause, what happens in it."""
        self.pauses: list[float] = []
        clock = lambda: self.now  # noqa: E731 - a clock that pauses move
        reader = ProfileReader(self.store, deadline_seconds=5.0, clock=clock)
        self.reader = PositionReader(reader, self.folded, clock=clock, pause=self._pause)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        if (happens := self.then.get(len(self.pauses))) is not None:
            await happens()

    async def keep(self, profile: Profile, subject: str = ANA) -> None:
        """Write a profile, whatever was there."""
        name = event_key("s", subject)
        (before,) = await self.store.load([name])
        write = Write(name, before, encode(profile))
        assert await self.store.save([write], retention=timedelta(days=1)) == [True]

    async def fold(self) -> None:
        """What the worker does with the event."""
        await self.keep(AFTER)
        self.tell(16)

    def tell(self, end: int, *, begin: int = 10, servers: Sequence[str] = ("memory",)) -> None:
        self.folded.of[TOPIC, 2] = Folded(begin, end, frozenset(servers))

    async def read(self, position: Position = EVENT, *, left: float = 0.1) -> tuple[Profile, bool]:
        return await self.reader.read("s", "ana", "", position, seconds_left=left)


@pytest.fixture
async def shop() -> Shop:
    """Ana is known; her event is written and not folded yet."""
    made = Shop()
    await made.keep(BEFORE)
    made.tell(15)
    return made


async def test_an_event_that_is_folded_already(shop: Shop) -> None:
    """One look is enough."""
    await shop.fold()
    assert await shop.read() == (AFTER, True)
    assert (shop.folded.looks, shop.folded.polls, shop.pauses) == (1, 0, [])


async def test_an_event_that_is_folded_meanwhile(shop: Shop) -> None:
    """The profile is read once more, as soon as a small question says that it may know it."""
    shop.then[3] = shop.fold
    assert await shop.read() == (AFTER, True)
    assert shop.pauses == [0.001, 0.002, 0.004]
    assert (shop.folded.looks, shop.folded.polls) == (2, 3)


@pytest.mark.parametrize(
    "position",
    [EVENT, EVENT._replace(topic_id=TOPIC[::-1]), EVENT._replace(partition=9)],
)
@pytest.mark.parametrize(("left", "waits"), [(0.1, 0.05), (30.0, WAIT_SECONDS)])
async def test_an_event_that_does_not_come(
    shop: Shop, position: Position, left: float, waits: float
) -> None:
    """Half of the caller's time and no more, also where topic or partition is not known."""
    assert await shop.read(position, left=left) == (BEFORE, False)
    assert sum(shop.pauses) == pytest.approx(waits)
    assert shop.folded.looks == 1


def test_pauses_grow() -> None:
    """So that who is folded at once is answered at once, and who stands still is asked seldom."""
    assert list(islice(pauses(), 7)) == [0.001, 0.002, 0.004, 0.008, 0.016, 0.025, 0.025]


async def test_an_event_from_before_all_that_is_known_of(shop: Shop) -> None:
    """Nothing can be said of it, and no wait would change that."""
    shop.tell(30, begin=16)
    assert await shop.read() == (BEFORE, False)
    assert shop.pauses == []


async def test_a_server_that_may_have_lost_it(shop: Shop) -> None:
    """Until the worker has folded into that one, too, the profile is not believed."""

    async def again() -> None:
        await shop.keep(AFTER)
        shop.tell(16, begin=12)

    shop.tell(16, servers=("another",))
    shop.then[4] = again
    assert await shop.read() == (AFTER, True)
    assert len(shop.pauses) == 4


@pytest.mark.parametrize("subject", [ANA, PHONE])
async def test_one_profile_of_several_on_such_a_server(shop: Shop, subject: str) -> None:
    """Each that the answer is made of counts, the user's and those of linked visitors."""
    await shop.fold()
    await shop.keep(Profile(first_seen=1, last_seen=2, links=(Link(2, 2, 0, "phone", True),)))
    await shop.keep(AFTER, PHONE)
    look, seen = shop.folded.look, event_key("s", subject)

    async def lost(position: Position, names: Sequence[bytes]) -> Found:
        found = await look(position, names)
        return found._replace(servers=frozenset({"lagging"})) if seen in names else found

    shop.folded.look = lost  # type: ignore[method-assign]  # a node of its own for one profile
    profile, reached = await shop.read()
    assert ([view.product_id for view in profile.views], reached) == (["mug"], False)


async def test_redis_goes_while_we_wait(shop: Shop) -> None:
    """What was read before is given, and not more is claimed of it."""

    async def gone() -> None:
        shop.folded.fails = True

    shop.then[2] = gone
    assert await shop.read() == (BEFORE, False)
    assert len(shop.pauses) == 2


async def test_redis_does_not_answer_while_we_wait(shop: Shop) -> None:
    """The wait ends when it should, as if it had said that it does not know."""

    async def hangs(position: Position) -> Folded | None:
        await asyncio.Event().wait()
        raise AssertionError(position)

    shop.folded.folded = hangs  # type: ignore[method-assign]  # a connection that is stuck
    assert await asyncio.wait_for(shop.read(left=0.02), 5) == (BEFORE, False)
    assert len(shop.pauses) == 1


async def test_redis_goes_between_a_question_and_the_profile(shop: Shop) -> None:
    """The older profile is not taken for one that knows the event."""
    polled = shop.folded.folded

    async def then_gone(position: Position) -> Folded | None:
        found = await polled(position)
        shop.folded.fails = True
        return found

    async def folded() -> None:
        await shop.fold()
        shop.folded.folded = then_gone  # type: ignore[method-assign]  # fails right after it

    shop.then[2] = folded
    assert await shop.read() == (BEFORE, False)


async def test_redis_is_away(shop: Shop) -> None:
    """As for every other call: nothing could be read."""
    shop.folded.fails = True
    with pytest.raises(RedisUnavailable):
        await shop.read()


async def test_a_shopper_whom_nobody_knows(shop: Shop) -> None:
    """A profile that may not be kept is empty, and the event is known all the same."""
    shop.tell(16)
    assert await shop.reader.read("s", "eve", "", EVENT, seconds_left=1.0) == (EMPTY, True)
    assert NOTHING in await shop.store.load([event_key("s", "u:eve")])
