"""Where trends are counted: a port, its fake, and Redis.

Counts and fence of one shop and partition share a hash tag and change together, in one
script, or not at all. The fence carries Kafka's id of the topic, so a topic that was made
anew, its offsets starting at 0 again, is counted again.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, cast

from services.shared.redis_connection import Command, Redis
from services.shared.subject import (
    trend_fence_redis_key,
    trend_partitions_redis_key,
    trend_redis_key,
)

KEPT_HOURS: Final = 8 * 24 + 1
"""A bucket goes 8 days after its hour has ended."""

COUNT: Final = """
local fence, topic = redis.call('GET', KEYS[1]) or '', ARGV[1] .. ':'
local counted = fence:sub(1, #topic) == topic and fence:sub(#topic + 1) or '0'
if counted ~= ARGV[2] then return 0 end
local at = 4
for i = 2, #KEYS do
  local stop = at + 2 + 2 * ARGV[at + 1]
  for first = at + 2, stop - 1, 1000 do
    local names, sums = {}, {}
    for n = first, math.min(first + 998, stop - 2), 2 do names[#names + 1] = ARGV[n] end
    local known = redis.call('HMGET', KEYS[i], unpack(names))
    for n, name in ipairs(names) do
      sums[2 * n - 1], sums[2 * n] = name, (known[n] or 0) + ARGV[first + 2 * n - 1]
    end
    redis.call('HSET', KEYS[i], unpack(sums))
  end
  redis.call('EXPIREAT', KEYS[i], ARGV[at])
  at = stop
end
redis.call('SET', KEYS[1], topic .. ARGV[3])
return 1
"""
"""KEYS: fence, buckets. ARGV: topic id, offset the fence must have, its new offset, then for each
bucket: when it goes (Unix seconds), how many products, and each of them with its count. 500 at
once: a call from Lua costs more than what it does for one of them."""

_SHA: Final = hashlib.sha1(COUNT.encode(), usedforsecurity=False).hexdigest()


class Place(NamedTuple):
    """What has a fence."""

    partition: int
    shop_id: str


@dataclass(frozen=True, slots=True)
class TrendWrite:
    """Counts of one place for (hour, product), made with fence ``before``; then it is ``after``."""

    place: Place
    before: int
    after: int
    counts: Mapping[tuple[int, str], int]


class Trends(Protocol):
    """Counts of the events of each shop in each partition of ``shopper-events``."""

    async def fences(self, places: Sequence[Place]) -> list[int]:
        """The offset up to which each place's events are counted; 0 if none are.

        Raises RedisUnavailable.
        """
        ...

    async def count(self, writes: Sequence[TrendWrite]) -> list[bool]:
        """Add counts and move fences; False where the fence is no longer ``before``.

        Raises RedisUnavailable; then some may have been counted, and their fence moved.
        """
        ...


class MemoryTrends:
    """The fake; ``counts`` is by (shop, hour, product)."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int, str]] = Counter()
        self._fences: dict[Place, int] = {}

    async def fences(self, places: Sequence[Place]) -> list[int]:
        """See :class:`Trends`."""
        return [self._fences.get(place, 0) for place in places]

    async def count(self, writes: Sequence[TrendWrite]) -> list[bool]:
        """See :class:`Trends`."""
        return [self._count(write) for write in writes]

    def _count(self, write: TrendWrite) -> bool:
        if self._fences.get(write.place, 0) != write.before:
            return False
        for (hour, product_id), count in write.counts.items():
            self.counts[write.place.shop_id, hour, product_id] += count
        self._fences[write.place] = write.after
        return True


class RedisTrends:
    """Counts in Redis hashes that expire."""

    def __init__(self, redis: Redis, *, topic_id: str) -> None:
        """``topic_id`` is Kafka's id of the topic that is counted."""
        self._redis = redis
        self._topic_id = topic_id

    async def fences(self, places: Sequence[Place]) -> list[int]:
        """See :class:`Trends`."""
        commands: list[Command] = [
            ("GET", trend_fence_redis_key(shop_id, partition)) for partition, shop_id in places
        ]
        texts = cast("list[bytes | None]", await self._redis.ask(commands))
        return [self._offset(text or b"") for text in texts]

    async def count(self, writes: Sequence[TrendWrite]) -> list[bool]:
        """See :class:`Trends`."""
        commands: list[Command] = [("SCRIPT", "LOAD", COUNT)]
        for write in writes:
            partition, shop_id = write.place
            commands.append(("SADD", trend_partitions_redis_key(shop_id), partition))
            commands.append(self._command(write))
        return [reply == 1 for reply in (await self._redis.ask(commands))[2::2]]

    def _command(self, write: TrendWrite) -> Command:
        partition, shop_id = write.place
        hours: defaultdict[int, list[str | int]] = defaultdict(list)
        for (hour, product_id), count in write.counts.items():
            hours[hour] += (product_id, count)
        keys: list[str] = []
        told: list[str | int] = []
        for hour, counted in sorted(hours.items()):
            keys.append(trend_redis_key(shop_id, partition, hour))
            told += ((hour + KEPT_HOURS) * 3600, len(counted) // 2, *counted)
        fence = trend_fence_redis_key(shop_id, partition)
        before = (self._topic_id, write.before, write.after)
        return ("EVALSHA", _SHA, 1 + len(keys), fence, *keys, *before, *told)

    def _offset(self, text: bytes) -> int:
        topic_id, _, offset = text.decode().rpartition(":")
        return int(offset) if text and topic_id == self._topic_id else 0
