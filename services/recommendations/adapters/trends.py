"""Redis' trend counts, read now and then into memory.

Answers never wait for this: they take the last list there is, also while Redis is away.
The newest hours are read every few seconds; older ones, which only late events change,
every few minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, cast

import structlog
from prometheus_client import Counter

from services.recommendations.domain.trending import HOURS, add_hour, leaders
from services.shared.errors import AttuneError
from services.shared.redis_connection import Command, Redis
from services.shared.subject import trend_partitions_redis_key, trend_redis_key

EVERY_SECONDS: Final = 3.0
"""Between two readings of the newest hours."""

FRESH_HOURS: Final = 2
"""Hours that are read every time: this one, and the one that may just have ended."""

WHOLE_EVERY: Final = 60
"""Each so many readings, all hours are read: about every three minutes."""

KEYS_AT_ONCE: Final = 32
"""Hashes in one round trip, so that neither side is held up for long."""

DEADLINE_SECONDS: Final = 5.0

FAILURES = Counter("trend_read_failures_total", "Readings of trends that Redis did not answer.")

_log = structlog.get_logger()

Leaders = tuple[tuple[str, float], ...]
Buckets = dict[tuple[int, int], dict[str, int]]


class Trends:
    """The trending products of each shop."""

    def __init__(
        self, redis: Redis, *, shops: Callable[[], Sequence[str]], clock: Callable[[], float]
    ) -> None:
        """``shops`` tells which to read, ``clock`` the time in seconds since 1970."""
        self._redis = redis
        self._shops = shops
        self._clock = clock
        self._buckets: dict[str, Buckets] = {}
        self._leaders: dict[str, Leaders] = {}

    def of(self, shop_id: str) -> Leaders:
        """(product id, score), best first, as of the last reading; empty before the first."""
        return self._leaders.get(shop_id, ())

    async def run(self) -> None:
        """Keep reading until cancelled."""
        readings = 0
        while True:
            whole = readings % WHOLE_EVERY == 0
            try:
                for shop_id in self._shops():
                    await self.read(shop_id, whole=whole or shop_id not in self._buckets)
                readings += 1
            except Exception as error:  # trends are an ornament: none may end the server
                FAILURES.inc()
                code = error.code if isinstance(error, AttuneError) else "UNEXPECTED"
                _log.warning("trends_not_read", code=code, message=str(error))
            await asyncio.sleep(EVERY_SECONDS)

    async def read(self, shop_id: str, *, whole: bool) -> None:
        """Read one shop's newest hours, or all. Raises RedisUnavailable; then nothing changes."""
        now = int(self._clock() // 3600)
        hours = range(now - (HOURS if whole else FRESH_HOURS) + 1, now + 1)
        partitions = await self._partitions(shop_id)
        wanted = [(partition, hour) for partition in partitions for hour in hours]
        old = {} if whole else self._buckets.get(shop_id, {})
        buckets = {key: counts for key, counts in old.items() if key[1] > now - HOURS}
        for start in range(0, len(wanted), KEYS_AT_ONCE):
            part = wanted[start : start + KEYS_AT_ONCE]
            buckets.update(zip(part, await self._hashes(shop_id, part), strict=True))
        scores: dict[str, float] = {}
        for (_, hour), counts in sorted(buckets.items()):
            add_hour(scores, counts, age=now - hour)
            await asyncio.sleep(0)  # a shop's busy hours must not hold up calls
        self._buckets[shop_id] = {key: counts for key, counts in buckets.items() if counts}
        self._leaders[shop_id] = leaders(scores)

    async def _partitions(self, shop_id: str) -> list[int]:
        command: Command = ("SMEMBERS", trend_partitions_redis_key(shop_id))
        (found,) = await self._redis.ask([command], within=DEADLINE_SECONDS)
        return sorted(int(member) for member in cast("Sequence[bytes]", found))

    async def _hashes(
        self, shop_id: str, buckets: Sequence[tuple[int, int]]
    ) -> list[dict[str, int]]:
        commands: list[Command] = [
            ("HGETALL", trend_redis_key(shop_id, partition, hour)) for partition, hour in buckets
        ]
        return [
            _counts(reply) for reply in await self._redis.ask(commands, within=DEADLINE_SECONDS)
        ]


def _counts(reply: object) -> dict[str, int]:
    """A hash as Redis gives it: a flat list (RESP2) or a map (RESP3)."""
    pairs = (
        reply.items()
        if isinstance(reply, dict)
        else zip(*(iter(cast("Sequence[bytes]", reply)),) * 2, strict=True)
    )
    return {product_id.decode(): int(count) for product_id, count in pairs}
