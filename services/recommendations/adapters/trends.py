"""Redis' trend counts, read now and then into memory.

Answers never wait for this: they take the last list there is, also while Redis is away. The
newest hours are read every few seconds. What older hours came to, which only late events
change, is one number for each product, read anew every few minutes and when an hour ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, cast

import structlog
from prometheus_client import Counter

from services.recommendations.domain.trending import HOURS, add_hour, best, leaders
from services.shared.errors import AttuneError
from services.shared.redis_connection import Command, Redis
from services.shared.subject import trend_partitions_redis_key, trend_redis_key

EVERY_SECONDS: Final = 3.0
"""Between two readings of the newest hours."""

FRESH_HOURS: Final = 2
"""Hours that are read every time: this one, and the one that may just have ended."""

WHOLE_EVERY: Final = 60
"""Each so many readings, all hours are read: about every three minutes."""

KEYS_AT_ONCE: Final = 8
"""Hashes in one round trip, so that neither side is held up for long."""

PRODUCTS_KEPT: Final = 5_000
"""Of older hours, for each shop: ten times the trending list. It bounds memory, also where a
shop's events name products that do not exist."""

DEADLINE_SECONDS: Final = 5.0

FAILURES = Counter("trend_read_failures_total", "Readings of a shop's trends that failed.")

_log = structlog.get_logger()

Leaders = tuple[tuple[str, float], ...]


class Older(NamedTuple):
    """What the hours before ``since`` came to, as worth at that hour."""

    since: int
    scores: Mapping[str, float]


class Trends:
    """The trending products of each shop."""

    def __init__(
        self, redis: Redis, *, shops: Callable[[], Sequence[str]], clock: Callable[[], float]
    ) -> None:
        """``shops`` tells which to read, ``clock`` the time in seconds since 1970."""
        self._redis = redis
        self._shops = shops
        self._clock = clock
        self._older: dict[str, Older] = {}
        self._leaders: dict[str, Leaders] = {}

    def of(self, shop_id: str) -> Leaders:
        """(product id, score), best first, as of the last reading; empty before the first."""
        return self._leaders.get(shop_id, ())

    async def run(self) -> None:
        """Keep reading until cancelled; one shop's trouble is not another's."""
        readings = 0
        while True:
            for shop_id in self._shops():
                await self._try(shop_id, whole=readings % WHOLE_EVERY == 0)
            readings += 1
            await asyncio.sleep(EVERY_SECONDS)

    async def _try(self, shop_id: str, *, whole: bool) -> None:
        try:
            await self.read(shop_id, whole=whole)
        except Exception as error:  # trends are an ornament: none may end the server
            FAILURES.inc()
            code = error.code if isinstance(error, AttuneError) else "UNEXPECTED"
            _log.warning("trends_not_read", shop_id=shop_id, code=code, message=str(error))

    async def read(self, shop_id: str, *, whole: bool) -> None:
        """Read one shop's newest hours, or all. Raises RedisUnavailable; then nothing changes."""
        now = int(self._clock() // 3600)
        since = now - FRESH_HOURS + 1
        partitions = await self._partitions(shop_id)
        older = self._older.get(shop_id)
        if whole or older is None or older.since != since:
            hours = range(now - HOURS + 1, since)
            scores = await self._scores(shop_id, partitions, hours, {}, now=now)
            older = Older(since, dict(best(scores, PRODUCTS_KEPT)))
        fresh = range(since, now + 1)
        scores = await self._scores(shop_id, partitions, fresh, older.scores, now=now)
        self._older[shop_id] = older
        self._leaders[shop_id] = leaders(scores)

    async def _scores(
        self,
        shop_id: str,
        partitions: Sequence[int],
        hours: Iterable[int],
        onto: Mapping[str, float],
        *,
        now: int,
    ) -> dict[str, float]:
        """``onto`` and the counts of these hours, each worth what its age leaves of it."""
        scores = dict(onto)
        wanted = [(hour, partition) for hour in hours for partition in partitions]
        for start in range(0, len(wanted), KEYS_AT_ONCE):
            part = wanted[start : start + KEYS_AT_ONCE]
            commands: list[Command] = [
                ("HGETALL", trend_redis_key(shop_id, partition, hour)) for hour, partition in part
            ]
            replies = await self._redis.ask(commands, within=DEADLINE_SECONDS)
            for (hour, _), reply in zip(part, replies, strict=True):
                add_hour(scores, _counts(reply), age=now - hour)
                await asyncio.sleep(0)  # a shop's busy hour must not hold up calls
        return scores

    async def _partitions(self, shop_id: str) -> list[int]:
        command: Command = ("SMEMBERS", trend_partitions_redis_key(shop_id))
        (found,) = await self._redis.ask([command], within=DEADLINE_SECONDS)
        return sorted(int(member) for member in cast("Sequence[bytes]", found))


def _counts(reply: object) -> dict[str, int]:
    """A hash as Redis gives it: a flat list (RESP2) or a map (RESP3)."""
    pairs = (
        reply.items()
        if isinstance(reply, dict)
        else zip(*(iter(cast("Sequence[bytes]", reply)),) * 2, strict=True)
    )
    return {product_id.decode(): int(count) for product_id, count in pairs}
