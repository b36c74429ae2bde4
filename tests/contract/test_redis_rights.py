"""The operators' guide lists what a user of Redis must be allowed; nothing else is asked for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.local.redis import EmbeddedRedis
from services.profiles.adapters.durability import RedisDurability
from services.profiles.adapters.folded import RedisFoldedSpans, Span
from services.profiles.adapters.trends import Place, RedisTrends, TrendWrite
from services.recommendations.adapters.folded_profiles import RedisFoldedProfiles
from services.recommendations.adapters.trends import Trends
from services.shared.folded import Position
from services.shared.letter_keys import RedisLetterKeys
from services.shared.profile import EMPTY, Profile
from services.shared.profile_codec import encode
from services.shared.profile_store import NOTHING, RedisProfileStore, Write, read_profiles
from services.shared.redis_connection import RedisConnection
from services.shared.sealing import MasterKey
from services.shared.subject import event_key

GUIDE = Path(__file__).parents[2] / "docs/guides/operators.md"
SHOP = "demo"
ANA = event_key(SHOP, "u:ana")
PASSWORD = "for-a-test"


def rights(of: str, until: str) -> list[str]:
    """What the guide says that a user needs, as ``ACL SETUSER`` takes it."""
    guide = GUIDE.read_text()
    told = guide[guide.index(of) : guide.index(until)]
    names = re.findall(r"`([A-Z ]+)`", told)
    return [f"+{name.lower().replace(' ', '|')}" for name in ["CLIENT SETINFO", *names]]


@pytest.fixture
async def user(
    request: pytest.FixtureRequest, own_redis: EmbeddedRedis
) -> AsyncIterator[RedisDurability]:
    """A connection of a user with those rights alone, and another one to ask for the disk."""
    admin = RedisConnection(own_redis.url)
    writing = RedisTrends(admin, topic_id="t")
    await writing.count([TrendWrite(Place(0, "read"), 0, 1, {(500_000, "mug"): 1})])
    told = ("ACL", "SETUSER", "it", "on", f">{PASSWORD}", "~attune:*", *rights(*request.param))
    assert await admin.ask([told]) == [b"OK"]
    await admin.close()
    url = own_redis.url.replace("redis://", f"redis://it:{PASSWORD}@")
    writer, asker = RedisConnection(url), RedisConnection(url)
    yield RedisDurability(writer, asker)
    await writer.close()
    await asker.close()


WORKER = ("The worker needs", "  the server `GET`")
SERVER = ("  the server `GET`", "A database number other than 0")


@pytest.mark.parametrize("user", [WORKER], indirect=True)
async def test_what_the_guide_lists_is_enough_for_the_worker(user: RedisDurability) -> None:
    """Profiles, written and deleted, trends, keys of letters, and asking for the disk."""
    redis = user._writer
    store, trends = RedisProfileStore(redis), RedisTrends(redis, topic_id="t")
    mark = await user.begin()
    (before,) = await store.load([ANA])
    seen = encode(Profile(first_seen=1, last_seen=1))
    day = timedelta(days=1)
    assert await store.save([Write(ANA, before, seen)], retention=day) == [True]
    (before,) = await store.load([ANA])
    assert await store.save([Write(ANA, before, b"")], retention=day) == [True]
    place = Place(0, SHOP)
    assert await trends.fences([place]) == [0]
    assert await trends.count([TrendWrite(place, 0, 1, {(500_000, "mug"): 1})]) == [True]
    keys = RedisLetterKeys(redis, MasterKey(bytes(32)))
    assert len(await keys.for_sealing([ANA])) == 1
    await RedisFoldedSpans(redis, topic_id="t").add([Span(0, 0, 1)], user.servers)
    await user.wait(mark)


@pytest.mark.parametrize("user", [SERVER], indirect=True)
async def test_what_the_guide_lists_is_enough_for_the_server(user: RedisDurability) -> None:
    """Profiles and trends, read; also behind a position."""
    redis = user._writer
    assert await read_profiles(RedisProfileStore(redis), [("read", "u:ana")]) == [EMPTY]
    hour = 500_000
    trends = Trends(redis, shops=lambda: ("read",), clock=lambda: hour * 3600.0)
    await trends.read("read", whole=True)
    assert trends.of("read") == (("mug", 1.0),)
    found = await RedisFoldedProfiles(redis).look(Position("t", 0, 0), [ANA])
    assert (found.folded, found.profiles) == (None, [NOTHING])
