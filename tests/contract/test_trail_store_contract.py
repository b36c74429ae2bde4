"""Trails and figures: the same cases on the fake, on real Redis and in a cluster."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from services.attribution.adapters.courses import MemoryCourses, RedisCourses, Seen
from services.attribution.adapters.kept_figures import RedisFigures
from services.attribution.adapters.redis_trails import RedisTrailStore
from services.attribution.adapters.trail_store import (
    BatchWrite,
    Letter,
    MemoryTrailStore,
    Name,
    TrailStore,
    TrailWrite,
)
from services.attribution.domain.counts import NO_DAY, Counts, Row
from services.attribution.domain.course import Course
from services.shared.redis_cluster import RedisCluster
from services.shared.redis_connection import Connection, RedisConnection
from services.shared.redis_routing import SlotMap
from services.shared.subject import figures_redis_key, trail_redis_key

SOON = int(time.time()) + 3600
ANA, BEN = (Name("demo", bytes([number] * 16)) for number in (1, 2))
HOME = ("home", "Recommend", 1, "m1", "", "")


def connect(request: pytest.FixtureRequest) -> Connection:
    """What the parameter says."""
    if request.param == "redis cluster":
        return RedisCluster(SlotMap(request.getfixturevalue("cluster_url")))
    return RedisConnection(request.getfixturevalue("redis_url"))


@pytest.fixture(params=["redis", "redis cluster"])
async def connection(request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    opened = connect(request)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "redis", "redis cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[TrailStore]:
    if request.param == "memory":
        yield MemoryTrailStore()
        return
    opened = connect(request)
    yield RedisTrailStore(opened)
    await opened.close()


@pytest.fixture
def partition() -> int:
    """One that no other test has."""
    return secrets.randbelow(1 << 40)


def wrote(
    before: str, after: str, *trails: TrailWrite, counts: Counts | None = None, taken: int = 0
) -> BatchWrite:
    return BatchWrite(before, after, trails, counts or {}, taken)


async def test_all_of_a_batch_or_nothing(store: TrailStore, partition: int, shop_id: str) -> None:
    """Trails, figures and fence change together; made from an older fence they change nothing."""
    row, other = Row(shop_id, 20_000, HOME), Row(shop_id, NO_DAY, ("calm", "b"))
    assert await store.claim(partition) == ""
    trail = TrailWrite(ANA, b"one", SOON, None)
    counts = {row: {"answers": 2, "value EUR": 1 << 70}, other: {"exposed": 1}}
    first = wrote("", "1 a:1 b:1", trail, counts=counts)
    assert await store.write(partition, first)
    assert not await store.write(partition, first)
    stale = wrote(
        "", "7 a:1 b:1", TrailWrite(ANA, b"two", SOON, None), counts={row: {"answers": 9}}
    )
    assert not await store.write(partition, stale)
    held = await store.read(partition, [ANA, BEN])
    assert (held.fence, list(held.trails)) == ("1 a:1 b:1", [b"one", b""])
    measures, exposed, none = await store.rows(partition, [row, other, Row(shop_id, 1, HOME)])
    assert (measures["answers"], exposed, none) == (2, {"exposed": 1}, {})
    assert await store.claim(partition) == "1 a:1 b:1"
    assert (await store.read(partition + 1, [ANA])).trails == [b""]


async def test_a_trail_goes(store: TrailStore, partition: int) -> None:
    """One that has nothing in it any more is not kept, nor waits for a window."""
    await store.write(partition, wrote("", "1 a:1 b:1", TrailWrite(ANA, b"one", SOON, 5)))
    await store.write(partition, wrote("1 a:1 b:1", "2 a:1 b:1", TrailWrite(ANA, b"", 0, None)))
    assert (await store.read(partition, [ANA])).trails == [b""]
    assert await store.due(partition, 10, 10) == []


async def test_windows_that_close(store: TrailStore, partition: int) -> None:
    """Those that are due, the first to close first, and only so many; each write says anew."""
    trails = [TrailWrite(ANA, b"a", SOON, 30), TrailWrite(BEN, b"b", SOON, 20)]
    await store.write(partition, wrote("", "1 a:1 b:1", *trails))
    assert await store.due(partition, 19, 10) == []
    assert await store.due(partition, 30, 10) == [BEN, ANA]
    assert await store.due(partition, 30, 1) == [BEN]
    later = TrailWrite(BEN, b"b", SOON, 40)
    await store.write(partition, wrote("1 a:1 b:1", "2 a:1 b:1", later))
    assert await store.due(partition, 30, 10) == [ANA]


async def test_letters_stay_until_they_are_taken(store: TrailStore, partition: int) -> None:
    """In their order; a write that is refused takes none."""
    await store.post([Letter(partition, b"%d" % number) for number in range(3)])
    assert await store.inbox(partition, 2) == [b"0", b"1"]
    assert not await store.write(partition, wrote("other", "1 a:1 b:1", taken=2))
    assert await store.write(partition, wrote("", "1 a:1 b:1", taken=2))
    await store.post([Letter(partition, b"3")])
    assert await store.inbox(partition, 10) == [b"2", b"3"]


async def test_what_expires(connection: Connection, partition: int, shop_id: str) -> None:
    """Trails when they say so, figures 400 days after they last changed."""
    store = RedisTrailStore(connection)
    trail = TrailWrite(ANA, b"one", SOON, None)
    counts = {Row(shop_id, 20_000, HOME): {"answers": 1}}
    await store.write(partition, wrote("", "1 a:1 b:1", trail, counts=counts))
    (ends,) = await connection.ask([("EXPIRETIME", trail_redis_key(partition, ANA.pseudonym))])
    (stays,) = await connection.ask([("TTL", figures_redis_key(partition, shop_id, 20_000))])
    assert ends == SOON
    assert isinstance(stays, int)
    assert 399 * 86_400 < stays <= 400 * 86_400


async def test_courses_are_swapped_as_a_whole(connection: Connection, shop_id: str) -> None:
    """Who has looked at an older one keeps nothing."""
    for courses in (MemoryCourses(), RedisCourses(connection)):
        one = Seen(since=datetime(2026, 3, 1, tzinfo=UTC), course=Course(ratio_evidence=1.5))
        other = Seen(since=one.since, course=Course(ratio_evidence=2.5))
        assert await courses.load(shop_id, "calm") == (b"", None)
        assert await courses.save(shop_id, "calm", b"", one)
        assert not await courses.save(shop_id, "calm", b"", other)
        before, kept = await courses.load(shop_id, "calm")
        assert kept == one
        assert await courses.save(shop_id, "calm", before, other)
        assert (await courses.load(shop_id, "calm"))[1] == other


async def test_figures_of_all_partitions(
    connection: Connection, partition: int, shop_id: str
) -> None:
    """Readers add up partitions for each day, and have experiments partition by partition."""
    store, row = RedisTrailStore(connection), Row(shop_id, 20_000, HOME)
    arms = [Row(shop_id, NO_DAY, ("calm", arm)) for arm in ("a", "b")]
    other = Row(shop_id, NO_DAY, ("other", "a"))
    for number in (partition, partition + 1):
        await store.claim(number)
        counts: Counts = {row: {"answers": 2}, arms[0]: {"exposed": 3}, other: {"exposed": 9}}
        await store.write(number, wrote("", "1 a:1 b:1", counts=counts))
    await store.write(partition, wrote("1 a:1 b:1", "2 a:1 b:1", counts={arms[1]: {"exposed": 1}}))
    figures = RedisFigures(connection)
    assert await figures.of_days(shop_id, range(19_999, 20_002)) == {row: {"answers": 4}}
    assert await figures.of_days(shop_id, [20_001]) == {}
    found = [dict(part) for part in await figures.of_experiment(shop_id, "calm") if part]
    assert sorted(found, key=len) == [
        {"a": {"exposed": 3}},
        {"a": {"exposed": 3}, "b": {"exposed": 1}},
    ]


async def test_many_rows_and_trails_at_once(
    connection: Connection, partition: int, shop_id: str
) -> None:
    """A batch may have more than a script hands over at once."""
    store = RedisTrailStore(connection)
    rows = [Row(shop_id, 20_000, (f"s{number}", *HOME[1:])) for number in range(1_300)]
    names = [Name(shop_id, number.to_bytes(16, "big")) for number in range(1_300)]
    trails = [TrailWrite(name, b"x", SOON, None) for name in names]
    counts = {row: {"answers": number} for number, row in enumerate(rows)}
    assert await store.write(partition, wrote("", "1 a:1 b:1", *trails, counts=counts))
    assert await store.rows(partition, rows) == [{"answers": number} for number in range(1_300)]
    assert set((await store.read(partition, names)).trails) == {b"x"}
