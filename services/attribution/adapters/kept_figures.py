"""The figures of all partitions, as they are read: a port, and Redis."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

from services.attribution.adapters.redis_trails import read_field, read_measures
from services.attribution.domain.counts import NO_DAY, Counts, Row
from services.shared.redis_connection import Command, Redis
from services.shared.subject import (
    ATTRIBUTION_PARTITIONS_REDIS_KEY,
    experiments_redis_key,
    figures_redis_key,
)

Arms = Mapping[str, Mapping[str, int]]
"""Measures by arm."""


class KeptFigures(Protocol):
    """Tells what is counted. Raises RedisUnavailable."""

    async def of_days(self, shop_id: str, days: Iterable[int]) -> Counts:
        """A shop's figures of days (since 1970), by row."""
        ...

    async def of_experiment(self, shop_id: str, experiment: str) -> list[Arms]:
        """What was counted of an experiment, partition by partition."""
        ...


class RedisFigures:
    """What attribution's processes have written."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of_days(self, shop_id: str, days: Iterable[int]) -> Counts:
        """See :class:`KeptFigures`."""
        asked = [(number, day) for number in await self._partitions() for day in days]
        keys = [figures_redis_key(number, shop_id, day) for number, day in asked]
        total: defaultdict[Row, Counter[str]] = defaultdict(Counter)
        for (_, day), kept in zip(asked, await self._hashes(keys), strict=True):
            for field, measures in kept.items():
                total[Row(shop_id, day, read_field(field))].update(read_measures(measures))
        return total

    async def of_experiment(self, shop_id: str, experiment: str) -> list[Arms]:
        """See :class:`KeptFigures`."""
        keys = [experiments_redis_key(number, shop_id) for number in await self._partitions()]
        found: list[Arms] = []
        for kept in await self._hashes(keys):
            rows = [
                (Row(shop_id, NO_DAY, read_field(field)), read_measures(measures))
                for field, measures in kept.items()
            ]
            found.append(
                {str(row.names[1]): told for row, told in rows if row.names[0] == experiment}
            )
        return found

    async def _partitions(self) -> list[int]:
        (found,) = await self._redis.ask([("SMEMBERS", ATTRIBUTION_PARTITIONS_REDIS_KEY)])
        return sorted(int(number) for number in cast("Iterable[bytes]", found))

    async def _hashes(self, keys: Sequence[bytes]) -> list[Mapping[bytes, bytes]]:
        if not keys:
            return []
        commands: list[Command] = [("HGETALL", key) for key in keys]
        return [_map(reply) for reply in await self._redis.ask(commands)]


def _map(reply: object) -> Mapping[bytes, bytes]:
    """A hash, as either version of the protocol answers it."""
    if isinstance(reply, Mapping):
        return reply
    flat = cast("Sequence[bytes]", reply)
    return dict(zip(flat[::2], flat[1::2], strict=True))
