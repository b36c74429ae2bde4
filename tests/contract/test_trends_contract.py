"""Trends: the same cases on the fake and on real Redis."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import cast

import pytest

from services.profiles.adapters.trends import MemoryTrends, Place, RedisTrends, Trends, TrendWrite
from services.shared.redis_cluster import RedisCluster
from services.shared.redis_connection import Connection, RedisConnection
from services.shared.redis_routing import SlotMap
from services.shared.subject import trend_redis_key


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
async def trends(request: pytest.FixtureRequest) -> AsyncIterator[Trends]:
    if request.param == "memory":
        yield MemoryTrends()
        return
    connection = connect(request)
    yield RedisTrends(connection, topic_id="topic-1")
    await connection.close()


async def test_trends_count_behind_a_fence(trends: Trends, shop_id: str) -> None:
    """A count is added with its fence; made again with the old fence it adds nothing."""
    hour = 2**31 // 3600
    write = TrendWrite(Place(3, shop_id), 0, 10, {(hour, "mug"): 2, (hour + 1, "lamp"): 1})
    assert await trends.fences([Place(3, shop_id)]) == [0]
    assert await trends.count([write, write]) == [True, False]
    assert await trends.fences([Place(3, shop_id), Place(3, shop_id + "x")]) == [10, 0]
    assert await trends.fences([Place(2, shop_id)]) == [0]
    again = TrendWrite(Place(3, shop_id), 10, 12, {})
    assert await trends.count([again]) == [True]
    assert await trends.fences([Place(3, shop_id)]) == [12]


async def test_trends_in_redis(connection: Connection, shop_id: str) -> None:
    """Counts add up in their hour's hash, which goes 8 days after its hour, as readers expect."""
    trends = RedisTrends(connection, topic_id="topic-1")
    hour = int(time.time()) // 3600
    for before in (0, 5):
        counts = {(hour, "mug"): 2, (hour, "pen"): 1}
        await trends.count([TrendWrite(Place(1, shop_id), before, before + 5, counts)])
    key = trend_redis_key(shop_id, 1, hour)
    assert await connection.ask([("HGET", key, "mug"), ("HGET", key, "pen")]) == [b"4", b"2"]
    assert await connection.ask([("EXPIRETIME", key)]) == [(hour + 193) * 3600]
    partitions = f"attune:trend:{{{shop_id}}}:partitions"
    assert await connection.ask([("SISMEMBER", partitions, 1)]) == [1]


@pytest.mark.parametrize("products", [1, 499, 500, 501, 1_300])
async def test_many_products_in_two_hours(
    connection: Connection, shop_id: str, products: int
) -> None:
    """Each adds to its own count of its own hour, however many a script adds at once."""
    trends = RedisTrends(connection, topic_id="topic-1")
    hour = int(time.time()) // 3600
    first = {(hour, f"p{n}"): 1 + n % 7 for n in range(products)}
    second = {(hour - n % 2, f"p{n}"): 3 for n in range(0, products, 3)}
    expected: Counter[tuple[int, str]] = Counter(first)
    expected.update(second)
    for before, write in enumerate((first, second)):
        assert await trends.count([TrendWrite(Place(1, shop_id), before, before + 1, write)]) == [
            True
        ]
    found: dict[tuple[int, str], int] = {}
    for at in (hour - 1, hour):
        names = [f"p{n}" for n in range(products)]
        key = trend_redis_key(shop_id, 1, at)
        (counts,) = await connection.ask([("HMGET", key, *names)])
        told = zip(names, cast("list[bytes | None]", counts), strict=True)
        found |= {(at, name): int(count) for name, count in told if count is not None}
    assert found == expected


async def test_trends_of_a_topic_made_anew(connection: Connection, shop_id: str) -> None:
    """The fence of a topic that was deleted holds back nothing of its successor."""
    old = RedisTrends(connection, topic_id="topic-1")
    new = RedisTrends(connection, topic_id="topic-2")
    await old.count([TrendWrite(Place(0, shop_id), 0, 100, {})])
    assert await new.fences([Place(0, shop_id)]) == [0]
    assert await new.count([TrendWrite(Place(0, shop_id), 0, 3, {})]) == [True]
    assert await new.fences([Place(0, shop_id)]) == [3]
