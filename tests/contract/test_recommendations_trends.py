"""Trends are kept in memory; Redis being away changes nothing but their freshness."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from services.recommendations.adapters.trends import FRESH_HOURS, PRODUCTS_KEPT, Trends
from services.recommendations.domain.trending import HALF_LIFE, HOURS
from services.shared.errors import RedisUnavailable
from services.shared.redis_connection import Command, Redis, RedisConnection, Reply
from services.shared.subject import trend_partitions_redis_key, trend_redis_key
from tests.waiting import eventually_async

NOW_HOUR = 500_000


class FakeRedis:
    """Answers the two commands that trends ask, from a dict of buckets."""

    is_cluster = False

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, int]] = {}
        self.asked = 0
        self.away = False

    def count(self, partition: int, hours_ago: int, **counts: int) -> None:
        self.hashes[trend_redis_key("s", partition, NOW_HOUR - hours_ago)] = counts

    async def copy_to(self, redis: RedisConnection) -> None:
        """Put the same into a real one."""
        partitions = trend_partitions_redis_key("s")
        await redis.ask([("DEL", partitions), ("SADD", partitions, 0, 3)])
        for key, counts in self.hashes.items():
            pairs = [part for pair in counts.items() for part in pair]
            await redis.ask([("DEL", key), ("HSET", key, *pairs)])

    async def ask(self, commands: Sequence[Command], *, within: float = 5.0) -> list[Reply]:
        if self.away:
            raise RedisUnavailable("gone")
        self.asked += len(commands)
        return [self._answer(*command) for command in commands]

    def _answer(self, name: object, key: object) -> Reply:
        if name == "SMEMBERS":
            assert key == trend_partitions_redis_key("s")
            return [b"0", b"3"]
        assert name == "HGETALL"
        pairs = self.hashes.get(str(key), {}).items()
        return [part for product, n in pairs for part in (product.encode(), str(n).encode())]


def trends_of(redis: Redis) -> Trends:
    """Trends of shop ``s`` as of the fixed hour."""
    return Trends(redis, shops=lambda: ("s",), clock=lambda: NOW_HOUR * 3600.0)


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_counts_of_all_partitions_and_hours_add_up_decayed(kind: str, redis_url: str) -> None:
    """A product's score is the sum of its buckets, each halved by age; a real Redis says so too."""
    fake = FakeRedis()
    fake.count(0, 0, mug=2, cup=1)
    fake.count(3, 0, mug=1)
    fake.count(3, HALF_LIFE, cup=8)
    fake.count(0, HOURS, rake=1_000_000)
    real = RedisConnection(redis_url)
    if kind == "redis":
        await fake.copy_to(real)
    trends = trends_of(fake if kind == "memory" else real)
    assert trends.of("s") == ()
    await trends.read("s", whole=True)
    assert trends.of("s") == (("cup", 5.0), ("mug", 3.0))
    assert trends.of("other") == ()
    await real.close()


async def test_only_the_newest_hours_are_read_every_time() -> None:
    """A quick reading asks for the newest hours only and keeps what it knows of the others."""
    redis = FakeRedis()
    redis.count(0, 10, cup=8)
    trends = trends_of(redis)
    await trends.read("s", whole=True)
    redis.count(0, 0, mug=100)
    redis.asked = 0
    await trends.read("s", whole=False)
    assert redis.asked == 1 + 2 * FRESH_HOURS
    assert [product for product, _ in trends.of("s")] == ["mug", "cup"]


async def test_an_hour_that_ends_becomes_an_older_one() -> None:
    """Its counts are neither lost nor counted twice when the clock goes on."""
    redis, now = FakeRedis(), [NOW_HOUR]
    trends = Trends(redis, shops=lambda: ("s",), clock=lambda: now[0] * 3600.0)
    redis.count(0, 0, mug=4)
    for hours in range(4):
        now[0] = NOW_HOUR + hours
        for _ in range(2):
            await trends.read("s", whole=False)
        ((product, score),) = trends.of("s")
        assert product == "mug"
        assert score == pytest.approx(4 * 0.5 ** (hours / HALF_LIFE))


async def test_products_of_older_hours_are_bounded() -> None:
    """A shop that names a new product each time fills neither this server's memory nor its list."""
    redis = FakeRedis()
    for hours_ago in range(FRESH_HOURS, FRESH_HOURS + 4):
        redis.count(0, hours_ago, **{f"p{hours_ago}-{n}": 1 for n in range(2_000)})
    redis.count(0, 9, mug=50)
    trends = trends_of(redis)
    await trends.read("s", whole=True)
    assert len(trends._older["s"].scores) == PRODUCTS_KEPT
    assert trends.of("s")[0][0] == "mug"


async def test_a_shop_that_cannot_be_read_does_not_keep_others_waiting() -> None:
    """One broken count is one shop's trouble."""

    class Half(FakeRedis):
        async def ask(self, commands: Sequence[Command], *, within: float = 5.0) -> list[Reply]:
            if any("bad" in str(command[1]) for command in commands):
                return [[b"x"]] * len(commands)
            return await super().ask(commands, within=within)

    redis = Half()
    redis.count(0, 0, mug=2)
    trends = Trends(redis, shops=lambda: ("bad", "s"), clock=lambda: NOW_HOUR * 3600.0)
    running = asyncio.create_task(trends.run())

    async def read() -> bool:
        return bool(trends.of("s"))

    await eventually_async(read, within=30)
    assert not running.done()
    running.cancel()


async def test_the_last_known_stays_while_redis_is_away() -> None:
    """A reading that fails takes nothing away."""
    redis = FakeRedis()
    redis.count(0, 0, mug=2)
    trends = trends_of(redis)
    await trends.read("s", whole=True)
    redis.away = True
    with pytest.raises(RedisUnavailable):
        await trends.read("s", whole=True)
    assert trends.of("s") == (("mug", 2.0),)
