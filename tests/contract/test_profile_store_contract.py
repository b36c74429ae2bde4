"""The same cases on the fakes and on real Redis: profiles and trends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from deploy.local.redis import EmbeddedRedis
from services.profiles.adapters.trends import MemoryTrends, RedisTrends, Trends, TrendWrite
from services.shared.errors import BadSetting, RedisUnavailable
from services.shared.profile import EMPTY, Profile, Touch
from services.shared.profile_codec import LayoutUnknown
from services.shared.profile_store import (
    MemoryProfileStore,
    ProfileStore,
    ProfileWrite,
    RedisProfileStore,
)
from services.shared.redis_connection import RedisConnection, RedisPool
from services.shared.subject import profile_redis_key, trend_redis_key
from tests.waiting import eventually_async

DAY = timedelta(days=1)
SEEN = Profile(first_seen=1, last_seen=2, views=(Touch(1, "e1", 0, "mug"),))
LATER = Profile(first_seen=1, last_seen=3, views=(Touch(3, "e2", 0, "lamp"),))


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    opened = RedisConnection(redis_url)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "redis", "redis pool"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ProfileStore]:
    if request.param == "memory":
        yield MemoryProfileStore()
        return
    url = request.getfixturevalue("redis_url")
    redis = RedisConnection(url) if request.param == "redis" else RedisPool(url, size=2)
    yield RedisProfileStore(redis)
    await redis.close()


@pytest.fixture(params=["memory", "redis"])
async def trends(request: pytest.FixtureRequest) -> AsyncIterator[Trends]:
    if request.param == "memory":
        yield MemoryTrends()
        return
    connection = RedisConnection(request.getfixturevalue("redis_url"))
    yield RedisTrends(connection, topic_id="topic-1")
    await connection.close()


async def test_what_was_never_written(store: ProfileStore, shop_id: str) -> None:
    """A subject that is not known has the empty profile at revision 0; none asked, none told."""
    assert await store.read([(shop_id, "u:nobody")]) == [(EMPTY, 0)]
    assert await store.read([]) == []
    assert await store.write([], retention=DAY) == []


async def test_write_and_read(store: ProfileStore, shop_id: str) -> None:
    """A profile comes back as it was written, and each write makes its revision one more."""
    for revision, profile in enumerate([SEEN, LATER]):
        write = ProfileWrite(shop_id, "u:ana", profile, revision)
        assert await store.write([write], retention=DAY) == [True]
        assert await store.read([(shop_id, "u:ana")]) == [(profile, revision + 1)]


@pytest.mark.parametrize("revision", [0, 1, 3, 2**40])
async def test_a_race_is_lost(store: ProfileStore, shop_id: str, revision: int) -> None:
    """A write made from another revision than the stored one does nothing and says so."""
    for known in (0, 1):
        await store.write([ProfileWrite(shop_id, "u:ana", SEEN, known)], retention=DAY)
    writes = [
        ProfileWrite(shop_id, "u:ana", LATER, revision),
        ProfileWrite(shop_id, "u:bob", LATER, 0),
    ]
    assert await store.write(writes, retention=DAY) == [False, True]
    assert await store.read([(shop_id, "u:ana"), (shop_id, "u:bob")]) == [(SEEN, 2), (LATER, 1)]


async def test_ten_writers_at_once(store: ProfileStore, shop_id: str) -> None:
    """Of writers that read the same revision, one writes."""
    write = ProfileWrite(shop_id, "u:ana", SEEN, 0)
    done = await asyncio.gather(*(store.write([write], retention=DAY) for _ in range(10)))
    assert sorted(done) == [[False]] * 9 + [[True]]


async def test_a_thousand_at_once(store: ProfileStore, shop_id: str) -> None:
    """A thousand profiles go and come in the order asked."""
    profiles = [Profile(first_seen=i, last_seen=i) for i in range(1, 1001)]
    writes = [ProfileWrite(shop_id, f"u:{p.first_seen}", p, 0) for p in profiles]
    assert all(await store.write(writes, retention=DAY))
    read = await store.read([(shop_id, f"u:{p.first_seen}") for p in profiles])
    assert read == [(profile, 1) for profile in profiles]


async def test_a_profile_expires(store: ProfileStore, shop_id: str) -> None:
    """After its retention a profile is gone, and can be written as a new one."""
    write = ProfileWrite(shop_id, "u:ana", SEEN, 0)
    await store.write([write], retention=timedelta(milliseconds=50))

    async def gone() -> bool:
        return await store.read([(shop_id, "u:ana")]) == [(EMPTY, 0)]

    await eventually_async(gone, within=5)
    assert await store.write([write], retention=DAY) == [True]


async def test_a_write_renews_the_retention(connection: RedisConnection, shop_id: str) -> None:
    """Each write sets the time to live anew, in milliseconds of the retention."""
    store = RedisProfileStore(connection)
    for revision, days in ((0, 1), (1, 90)):
        write = ProfileWrite(shop_id, "u:ana", SEEN, revision)
        await store.write([write], retention=days * DAY)
        (left,) = await connection.ask([("PTTL", profile_redis_key(shop_id, "u:ana"))])
        assert isinstance(left, int)
        assert days * 86_400_000 - 10_000 < left <= days * 86_400_000


async def test_a_layout_of_tomorrow(connection: RedisConnection, shop_id: str) -> None:
    """Bytes that this release cannot read are an error, never an empty profile to write over."""
    await connection.ask([("SET", profile_redis_key(shop_id, "u:ana"), b"\x63" + bytes(20))])
    with pytest.raises(LayoutUnknown, match="layout 63"):
        await RedisProfileStore(connection).read([(shop_id, "u:ana")])


async def test_redis_that_forgot_the_script(connection: RedisConnection, shop_id: str) -> None:
    """A restarted Redis has no scripts; a write does not notice."""
    store = RedisProfileStore(connection)
    await connection.ask([("SCRIPT", "FLUSH")])
    assert await store.write([ProfileWrite(shop_id, "u:ana", SEEN, 0)], retention=DAY) == [True]


async def test_redis_away_full_and_back(own_redis: EmbeddedRedis) -> None:
    """Away and out of memory are RedisUnavailable; afterwards the same store works."""
    connection = RedisConnection(own_redis.url)
    store = RedisProfileStore(connection)
    write = ProfileWrite("demo", "u:ana", SEEN, 0)
    await connection.ask([("CONFIG", "SET", "maxmemory", "1")])
    with pytest.raises(RedisUnavailable, match="maxmemory"):
        await store.write([write], retention=DAY)
    own_redis.kill()
    with pytest.raises(RedisUnavailable):
        await store.read([("demo", "u:ana")])
    own_redis.start()
    assert await store.write([write], retention=DAY) == [True]
    await connection.close()


async def test_redis_that_does_not_answer_in_time(own_redis: EmbeddedRedis) -> None:
    """A stopped clock on the other side ends at the deadline, not never."""
    connection = RedisConnection(own_redis.url)
    with pytest.raises(RedisUnavailable, match=r"0\.2 s"):
        await connection.ask([("BLPOP", "nothing", 30)], within=0.2)
    assert await connection.ask([("PING",)]) == [b"PONG"]
    await connection.close()


async def test_a_pool_after_redis_was_started_anew(own_redis: EmbeddedRedis) -> None:
    """Its connections are all gone; nobody who asks has to notice."""
    pool = RedisPool(own_redis.url, size=3)
    await asyncio.gather(*(pool.ask([("BLPOP", "nothing", "0.1")]) for _ in range(3)))
    own_redis.kill()
    with pytest.raises(RedisUnavailable):
        await pool.ask([("PING",)])
    own_redis.start()
    for _ in range(3):
        assert await pool.ask([("PING",)]) == [b"PONG"]
    await pool.close()


@pytest.mark.parametrize("url", ["redis://h:notaport/0", "redis://h?no_such=1"])
def test_a_url_that_cannot_be_read(url: str) -> None:
    """It is a setting that cannot work, and its password is not repeated."""
    with pytest.raises(BadSetting, match="the URL of Redis cannot be read") as caught:
        RedisConnection(url.replace("//", "//:secret@"))
    assert "secret" not in str(caught.value)


async def test_pool_waits_no_longer_than_told(redis_url: str) -> None:
    """With every connection in use, a caller is refused at its deadline."""
    pool = RedisPool(redis_url, size=1)
    slow = asyncio.create_task(pool.ask([("BLPOP", "nothing-here", 1)]))
    await asyncio.sleep(0)
    with pytest.raises(RedisUnavailable, match="no free connection"):
        await pool.ask([("PING",)], within=0.05)
    await slow
    assert await pool.ask([("PING",)]) == [b"PONG"]
    await pool.close()


async def test_trends_count_behind_a_fence(trends: Trends, shop_id: str) -> None:
    """A count is added with its fence; made again with the old fence it adds nothing."""
    hour = 2**31 // 3600
    write = TrendWrite(shop_id, 0, 10, {(hour, "mug"): 2, (hour + 1, "lamp"): 1})
    assert await trends.fences(3, [shop_id]) == [0]
    assert await trends.count(3, [write, write]) == [True, False]
    assert await trends.fences(3, [shop_id, shop_id + "x"]) == [10, 0]
    assert await trends.fences(2, [shop_id]) == [0]
    again = TrendWrite(shop_id, 10, 12, {})
    assert await trends.count(3, [again]) == [True]
    assert await trends.fences(3, [shop_id]) == [12]


async def test_trends_in_redis(connection: RedisConnection, shop_id: str) -> None:
    """Counts add up in their hour's hash, which goes 8 days after its hour, as readers expect."""
    trends = RedisTrends(connection, topic_id="topic-1")
    (clock,) = await connection.ask([("TIME",)])
    assert isinstance(clock, list)
    hour = int(clock[0]) // 3600
    for before in (0, 5):
        counts = {(hour, "mug"): 2, (hour, "pen"): 1}
        await trends.count(1, [TrendWrite(shop_id, before, before + 5, counts)])
    key = trend_redis_key(shop_id, 1, hour)
    assert await connection.ask([("HGET", key, "mug"), ("HGET", key, "pen")]) == [b"4", b"2"]
    assert await connection.ask([("EXPIRETIME", key)]) == [(hour + 193) * 3600]
    partitions = f"attune:trend:{{{shop_id}}}:partitions"
    assert await connection.ask([("SISMEMBER", partitions, 1)]) == [1]


async def test_trends_of_a_topic_made_anew(connection: RedisConnection, shop_id: str) -> None:
    """The fence of a topic that was deleted holds back nothing of its successor."""
    old = RedisTrends(connection, topic_id="topic-1")
    new = RedisTrends(connection, topic_id="topic-2")
    await old.count(0, [TrendWrite(shop_id, 0, 100, {})])
    assert await new.fences(0, [shop_id]) == [0]
    assert await new.count(0, [TrendWrite(shop_id, 0, 3, {})]) == [True]
    assert await new.fences(0, [shop_id]) == [3]
