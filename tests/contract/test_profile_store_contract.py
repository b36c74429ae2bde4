"""The same cases on the fakes and on real Redis: profiles and trends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from deploy.local.redis import EmbeddedRedis
from services.profiles.adapters.rebuilt import RebuiltProfiles
from services.shared.consent import Consent, write_consent
from services.shared.errors import RedisUnavailable
from services.shared.profile import EMPTY, Profile, Touch
from services.shared.profile_codec import decode, encode
from services.shared.profile_generations import Generations, change
from services.shared.profile_layout import LayoutUnknown
from services.shared.profile_store import (
    NOTHING,
    MemoryProfileStore,
    ProfileStore,
    RedisGeneration,
    RedisProfileStore,
    Stored,
    Write,
    read_profiles,
)
from services.shared.redis_cluster import RedisCluster, redis_pool
from services.shared.redis_connection import Connection, RedisConnection
from services.shared.redis_pool import RedisPool
from services.shared.redis_routing import SlotMap
from services.shared.subject import (
    consent_redis_key,
    event_key,
    profile_redis_key,
)
from tests.waiting import eventually_async

DAY = timedelta(days=1)
SEEN = encode(Profile(first_seen=1, last_seen=2, views=(Touch(1, 1, 0, "mug"),)))
LATER = encode(Profile(first_seen=1, last_seen=3, views=(Touch(3, 2, 0, "lamp"),)))


def connect(request: pytest.FixtureRequest) -> Connection:
    """What the parameter says."""
    if request.param == "redis cluster":
        return RedisCluster(SlotMap(request.getfixturevalue("cluster_url")))
    if request.param == "redis cluster pool":
        return redis_pool(request.getfixturevalue("cluster_url"), size=2)
    url = request.getfixturevalue("redis_url")
    return RedisPool(url, size=2) if request.param == "redis pool" else RedisConnection(url)


@pytest.fixture(params=["redis", "redis cluster"])
async def connection(request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    opened = connect(request)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "redis", "redis pool", "redis cluster", "redis cluster pool"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ProfileStore]:
    if request.param == "memory":
        yield MemoryProfileStore()
        return
    redis = connect(request)
    yield RedisProfileStore(redis)
    await redis.close()


def name(shop_id: str, subject: str = "u:ana") -> bytes:
    return event_key(shop_id, subject)


async def kept(store: ProfileStore, *names: bytes) -> list[bytes]:
    return [stored.value for stored in await store.load(names)]


async def test_what_was_never_written(store: ProfileStore, shop_id: str) -> None:
    """Of a subject that is not known there is nothing; none asked, none told."""
    assert await store.load([name(shop_id)]) == [NOTHING]
    assert await read_profiles(store, [(shop_id, "u:nobody")]) == [EMPTY]
    assert await store.load([]) == []
    assert await store.save([], retention=DAY) == []


async def test_write_and_read(store: ProfileStore, shop_id: str) -> None:
    """A profile comes back as it was written, also when another one is written over it."""
    before = NOTHING
    for value in (SEEN, LATER):
        assert await store.save([Write(name(shop_id), before, value)], retention=DAY) == [True]
        (before,) = await store.load([name(shop_id)])
        assert before == Stored(value, b"")
        assert await read_profiles(store, [(shop_id, "u:ana")]) == [decode(value)]


@pytest.mark.parametrize("before", [NOTHING, Stored(LATER, b""), Stored(SEEN, b"x")])
async def test_a_race_is_lost(store: ProfileStore, shop_id: str, before: Stored) -> None:
    """A write made from something else than what is stored does nothing and says so."""
    ana, bob = name(shop_id), name(shop_id, "u:bob")
    await store.save([Write(ana, NOTHING, SEEN)], retention=DAY)
    writes = [Write(ana, before, LATER), Write(bob, NOTHING, LATER)]
    assert await store.save(writes, retention=DAY) == [False, True]
    assert await kept(store, ana, bob) == [SEEN, LATER]


async def test_ten_writers_at_once(store: ProfileStore, shop_id: str) -> None:
    """Of writers that read the same, one writes."""
    write = Write(name(shop_id), NOTHING, SEEN)
    done = await asyncio.gather(*(store.save([write], retention=DAY) for _ in range(10)))
    assert sorted(done) == [[False]] * 9 + [[True]]


async def test_a_thousand_at_once(store: ProfileStore, shop_id: str) -> None:
    """A thousand profiles go and come in the order asked."""
    values = [encode(Profile(first_seen=i, last_seen=i)) for i in range(1000)]
    names = [name(shop_id, f"u:{i}") for i in range(1000)]
    writes = [Write(each, NOTHING, value) for each, value in zip(names, values, strict=True)]
    assert all(await store.save(writes, retention=DAY))
    assert await kept(store, *names) == values


async def test_of_many_at_once_only_the_stale_are_refused(
    store: ProfileStore, shop_id: str
) -> None:
    """Each by its own version and consent, however many one command writes; some are deleted."""
    names = [name(shop_id, f"u:{number}") for number in range(300)]
    await store.save([Write(each, NOTHING, SEEN) for each in names], retention=DAY)
    found = dict(zip(names, await store.load(names), strict=True))
    stale, wrong = set(names[::7]), Stored(LATER, b"")
    writes = [
        Write(each, wrong if each in stale else found[each], LATER if number % 5 else b"")
        for number, each in enumerate(names)
    ]
    assert await store.save(writes, retention=DAY) == [each not in stale for each in names]
    expected = [SEEN if write.name in stale else write.value for write in writes]
    assert [stored.value for stored in await store.load(names)] == expected


async def test_a_profile_expires(store: ProfileStore, shop_id: str) -> None:
    """After its retention a profile is gone, and can be written as a new one."""
    write = Write(name(shop_id), NOTHING, SEEN)
    await store.save([write], retention=timedelta(milliseconds=50))

    async def gone() -> bool:
        return await store.load([name(shop_id)]) == [NOTHING]

    await eventually_async(gone, within=30)
    assert await store.save([write], retention=DAY) == [True]


async def test_a_profile_that_may_not_be_kept(store: ProfileStore, shop_id: str) -> None:
    """No bytes: nothing is kept any more."""
    await store.save([Write(name(shop_id), NOTHING, SEEN)], retention=DAY)
    write = Write(name(shop_id), Stored(SEEN, b""), b"")
    assert await store.save([write], retention=DAY) == [True]
    assert await store.load([name(shop_id)]) == [NOTHING]


async def consent(store: ProfileStore, name: bytes, value: bytes) -> None:
    """Have a shopper consent to something."""
    if isinstance(store, MemoryProfileStore):
        store.consents[name] = value
    elif isinstance(store, RedisProfileStore):
        await store._redis.ask([("SET", consent_redis_key(name), value)])


async def test_a_consent_that_came_between(store: ProfileStore, shop_id: str) -> None:
    """What was made before a shopper said something is not written after it."""
    refused = write_consent(Consent(personalization=False))
    await consent(store, name(shop_id), refused)
    assert await store.save([Write(name(shop_id), NOTHING, SEEN)], retention=DAY) == [False]
    (before,) = await store.load([name(shop_id)])
    assert before == Stored(b"", refused)
    assert await store.save([Write(name(shop_id), before, SEEN)], retention=DAY) == [True]
    assert await read_profiles(store, [(shop_id, "u:ana")]) == [EMPTY]


async def test_a_write_renews_the_retention(connection: Connection, shop_id: str) -> None:
    """Each write sets the time to live anew, in milliseconds of the retention."""
    store = RedisProfileStore(connection)
    for days in (1, 90):
        (before,) = await store.load([name(shop_id)])
        await store.save([Write(name(shop_id), before, SEEN)], retention=days * DAY)
        (left,) = await connection.ask([("PTTL", profile_redis_key(name(shop_id)))])
        assert isinstance(left, int)
        assert days * 86_400_000 - 10_000 < left <= days * 86_400_000


async def test_a_new_generation(own_redis: EmbeddedRedis) -> None:
    """Once the key says so, all read and write the next generation's profiles."""
    connection = RedisConnection(own_redis.url)
    store = RedisProfileStore(connection)
    ana = b"demo/u:ana"
    await store.save([Write(ana, NOTHING, SEEN)], retention=DAY)
    await connection.ask([("SET", profile_redis_key(ana, 1), LATER)])
    assert await kept(store, ana) == [SEEN]
    assert store.making is None
    assert await change(connection, Generations(0, None), Generations(0, 1))
    assert await kept(store, ana) == [SEEN]
    assert store.making is not None
    assert await kept(store.making, ana) == [LATER]
    assert not await change(connection, Generations(0, None), Generations(5, None))
    assert await change(connection, Generations(0, 1), Generations(1, None))
    assert await kept(store, ana) == [LATER]
    assert RedisProfileStore(connection).making is None
    assert await store.save([Write(ana, Stored(SEEN, b""), SEEN)], retention=DAY) == [False]
    assert await store.save([Write(ana, Stored(LATER, b""), SEEN)], retention=DAY) == [True]
    assert await connection.ask([("GET", profile_redis_key(ana, 1))]) == [SEEN]
    await connection.close()


@pytest.mark.parametrize(
    ("left", "stays"), [(DAY, 2 * DAY), (3 * DAY, 3 * DAY), (9 * DAY, 4 * DAY)]
)
async def test_a_rebuilt_profile_expires(
    connection: Connection, shop_id: str, left: timedelta, stays: timedelta
) -> None:
    """With its shopper's last event, unless a worker has just written it; never later than any."""
    ana = name(shop_id)
    worker = RedisGeneration(connection, 1)
    await worker.save([Write(ana, NOTHING, SEEN)], retention=2 * DAY)
    rebuilt = RebuiltProfiles(connection, 1, lambda _: left // timedelta(milliseconds=1))
    (before,) = await rebuilt.load([ana])
    assert await rebuilt.save([Write(ana, NOTHING, LATER)], retention=4 * DAY) == [False]
    assert await rebuilt.save([Write(ana, before, LATER)], retention=4 * DAY) == [True]
    assert await worker.load([ana]) == [Stored(LATER, b"")]
    (milliseconds,) = await connection.ask([("PTTL", profile_redis_key(ana, 1))])
    assert isinstance(milliseconds, int)
    assert timedelta() <= stays - timedelta(milliseconds=milliseconds) < timedelta(seconds=10)


async def test_a_layout_of_tomorrow(connection: Connection, shop_id: str) -> None:
    """Bytes that this release cannot read are an error, never an empty profile to write over."""
    await connection.ask([("SET", profile_redis_key(name(shop_id)), b"\x63" + bytes(20))])
    with pytest.raises(LayoutUnknown, match="layout 63"):
        await read_profiles(RedisProfileStore(connection), [(shop_id, "u:ana")])


async def test_redis_that_forgot_the_script(connection: Connection, shop_id: str) -> None:
    """A restarted Redis has no scripts; a write does not notice."""
    store = RedisProfileStore(connection)
    await connection.ask([("SCRIPT", "FLUSH")])
    assert await store.save([Write(name(shop_id), NOTHING, SEEN)], retention=DAY) == [True]


async def test_redis_away_full_and_back(own_redis: EmbeddedRedis) -> None:
    """Away and out of memory are RedisUnavailable; afterwards the same store works."""
    connection = RedisConnection(own_redis.url)
    store = RedisProfileStore(connection)
    write = Write(b"demo/u:ana", NOTHING, SEEN)
    await connection.ask([("CONFIG", "SET", "maxmemory", "1")])
    with pytest.raises(RedisUnavailable, match="maxmemory"):
        await store.save([write], retention=DAY)
    own_redis.kill()
    with pytest.raises(RedisUnavailable):
        await store.load([b"demo/u:ana"])
    own_redis.start()
    assert await store.save([write], retention=DAY) == [True]
    await connection.close()
