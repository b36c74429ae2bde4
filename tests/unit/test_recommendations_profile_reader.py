"""Profiles are read in time or not at all, and visitors count only where they are linked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from services.recommendations.adapters.profiles import (
    FAILURES,
    PAUSE_SECONDS,
    VISITORS,
    ProfileReader,
)
from services.shared.errors import RedisUnavailable
from services.shared.profile import EMPTY, Link, Profile, Touch, event_hash
from services.shared.profile_codec import encode
from services.shared.profile_layout import LayoutUnknown
from services.shared.profile_store import NOTHING, MemoryProfileStore, Stored, Write
from services.shared.subject import event_key


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Watched(MemoryProfileStore):
    """Counts round trips, and fails or hangs when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.trips: list[Sequence[bytes]] = []
        self.failure: Exception | None = None
        self.hangs = False

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        self.trips.append(names)
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure:
            raise self.failure
        return await super().load(names)


async def store_of(**profiles: Profile) -> Watched:
    """A store with the profiles of shop ``s``; ``u_ana`` is ``u:ana``."""
    store = Watched()
    writes = [
        Write(event_key("s", name.replace("_", ":", 1)), NOTHING, encode(profile))
        for name, profile in profiles.items()
    ]
    assert all(await store.save(writes, retention=timedelta(days=1)))
    return store


def viewed(*product_ids: str) -> Profile:
    """A shopper who viewed products."""
    views = tuple(
        Touch(at, int.from_bytes(event_hash(p), "big"), 0, p)
        for at, p in enumerate(product_ids, start=1)
    )
    return Profile(first_seen=1, last_seen=9, views=views)


def user(*links: tuple[str, bool], views: str = "mine") -> Profile:
    """A user with visitors that signed in (True) or out (False), oldest first."""
    entries = tuple(Link(at, at, 0, v, on) for at, (v, on) in enumerate(links, start=1))
    return Profile(first_seen=1, last_seen=9, views=viewed(views).views, links=entries)


def reader(store: Watched, clock: Clock | None = None, deadline: float = 5.0) -> ProfileReader:
    """A reader of that store."""
    return ProfileReader(store, deadline_seconds=deadline, clock=clock or Clock())


async def seen(reader: ProfileReader, user_id: str, visitor_id: str) -> set[str]:
    """The products viewed in what is read."""
    profile = await reader.read("s", user_id, visitor_id, seconds_left=10.0)
    return {view.product_id for view in profile.views}


async def test_nothing_known_is_an_empty_profile() -> None:
    """A shopper nobody has seen has an empty profile, which is no error."""
    assert await reader(Watched()).read("s", "x", "", seconds_left=1.0) == EMPTY


async def test_user_and_linked_visitor_come_in_one_round_trip() -> None:
    """The visitor the caller names is merged if linked, without a second round trip."""
    store = await store_of(u_ana=user(("phone", True)), v_phone=viewed("theirs"))
    assert await seen(reader(store), "ana", "phone") == {"mine", "theirs"}
    assert len(store.trips) == 1


async def test_a_visitor_that_is_not_linked_does_not_count() -> None:
    """Without a link, or after a logout, the visitor's events are not the user's."""
    store = await store_of(
        u_ana=user(("tablet", True), ("tablet", False)),
        v_phone=viewed("strange"),
        v_tablet=viewed("shared"),
    )
    assert await seen(reader(store), "ana", "phone") == {"mine"}
    assert await seen(reader(store), "ana", "tablet") == {"mine"}
    assert await seen(reader(store), "", "tablet") == {"shared"}


async def test_other_linked_visitors_take_a_second_round_trip() -> None:
    """The user's other devices are read too, the newest links first, at most the bound."""
    names = [f"d{number}" for number in range(VISITORS + 2)]
    store = await store_of(
        u_ana=user(*((name, True) for name in names)),
        **{f"v_{name}": viewed(name) for name in names},
    )
    assert await seen(reader(store), "ana", "") == {"mine", *names[2:]}
    assert len(store.trips) == 2


async def test_a_late_answer_is_given_up_in_time() -> None:
    """Reading ends at its deadline, and at half of the caller's."""
    store = Watched()
    store.hangs = True
    with pytest.raises(RedisUnavailable):
        await asyncio.wait_for(reader(store, deadline=0.01).read("s", "a", "", seconds_left=9), 5)
    with pytest.raises(RedisUnavailable):
        await asyncio.wait_for(reader(store).read("s", "a", "", seconds_left=0.02), 5)


async def test_a_caller_in_a_hurry_does_not_speak_for_others() -> None:
    """Calls whose own deadline was too short say nothing about Redis: it is asked again."""
    store = Watched()
    reading = reader(store, deadline=1.0)
    store.hangs = True
    for left in (0.002, 0.001, 0.0, -1.0) * 2:
        with pytest.raises(RedisUnavailable):
            await reading.read("s", "ana", "", seconds_left=left)
    store.hangs = False
    assert await seen(reading, "bo", "") == set()


async def test_a_redis_that_is_away_is_left_alone_and_tried_again() -> None:
    """After a few failures calls fail at once; after the pause one tries, and all go on."""
    store, clock = Watched(), Clock()
    store.failure = RedisUnavailable("gone")
    reading = reader(store, clock)
    for _ in range(FAILURES + 5):
        with pytest.raises(RedisUnavailable):
            await seen(reading, "ana", "")
    assert len(store.trips) == FAILURES
    clock.now += PAUSE_SECONDS
    for _ in range(3):
        with pytest.raises(RedisUnavailable):
            await seen(reading, "ana", "")
    assert len(store.trips) == FAILURES + 1
    store.failure = None
    clock.now += PAUSE_SECONDS
    assert [await seen(reading, "ana", "") for _ in range(3)] == [set()] * 3
    assert len(store.trips) == FAILURES + 4


async def test_a_profile_of_another_release_does_not_open_the_circuit() -> None:
    """One unreadable profile is one shopper's trouble; others are read all the same."""
    store = Watched()
    reading = reader(store)
    store.failure = LayoutUnknown("layout 9")
    for _ in range(FAILURES + 2):
        with pytest.raises(RedisUnavailable, match="cannot be read"):
            await seen(reading, "ana", "")
    assert len(store.trips) == FAILURES + 2
