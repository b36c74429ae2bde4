"""Trails and figures in Redis.

All of a partition lies in one slot, and one script writes all that a batch changes. So a Redis that
has lost its last second has lost it whole: fence, trails and figures are of one moment, and the
worker reads again from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, cast

import msgspec

from services.attribution.adapters.trail_store import BatchWrite, Held, Letter, Name
from services.attribution.domain.counts import NO_DAY, Counts, Names, Row
from services.shared.redis_connection import Command, Redis
from services.shared.subject import (
    ATTRIBUTION_PARTITIONS_REDIS_KEY,
    attribution_fence_redis_key,
    experiments_redis_key,
    figures_redis_key,
    trail_dues_redis_key,
    trail_inbox_redis_key,
    trail_redis_key,
)

FIGURES_KEPT_SECONDS: Final = 400 * 24 * 3600
"""After they last changed."""

INBOX_KEPT_SECONDS: Final = 7 * 24 * 3600
MOST: Final = (1 << 63) - 1
"""A measure grows no further; no sum that means something comes near it."""

WRITE: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
local trails, at = tonumber(ARGV[3]), 6
for i = 4, 3 + trails do
  if ARGV[at] == '' then
    redis.call('DEL', KEYS[i])
  else
    redis.call('SET', KEYS[i], ARGV[at], 'EXAT', ARGV[at + 1])
  end
  if ARGV[at + 2] == '' then
    redis.call('ZREM', KEYS[2], ARGV[at + 3])
  else
    redis.call('ZADD', KEYS[2], ARGV[at + 2], ARGV[at + 3])
  end
  at = at + 4
end
for i = 4 + trails, #KEYS do
  local stop = at + 1 + 2 * ARGV[at]
  for first = at + 1, stop - 1, 1000 do
    redis.call('HSET', KEYS[i], unpack(ARGV, first, math.min(first + 999, stop - 1)))
  end
  redis.call('EXPIRE', KEYS[i], ARGV[5])
  at = stop
end
redis.call('LTRIM', KEYS[3], ARGV[4], -1)
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
"""KEYS: fence, dues, inbox, trails, hashes. ARGV: the fence it must have, the new one, how many
trails, how many of the inbox were taken, seconds that hashes stay; for each trail: value ('' for
none), when it goes, when its next window closes ('' if none is open), its name; for each hash: how
many fields, and each of them with its value."""

_SHA: Final = hashlib.sha1(WRITE.encode(), usedforsecurity=False).hexdigest()


class RedisTrailStore:
    """Trails as values that expire, figures as hashes of a day and shop."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def claim(self, partition: int) -> str:
        """See :class:`TrailStore`."""
        fence, _ = await self._redis.ask(
            [
                ("GET", attribution_fence_redis_key(partition)),
                ("SADD", ATTRIBUTION_PARTITIONS_REDIS_KEY, partition),
            ]
        )
        return _text(fence)

    async def read(self, partition: int, names: Sequence[Name]) -> Held:
        """See :class:`TrailStore`."""
        keys = [attribution_fence_redis_key(partition)]
        keys += [trail_redis_key(partition, name.pseudonym) for name in names]
        (found,) = await self._redis.ask([("MGET", *keys)])
        fence, *trails = cast("list[bytes | None]", found)
        return Held(_text(fence), [trail or b"" for trail in trails])

    async def rows(self, partition: int, rows: Sequence[Row]) -> list[dict[str, int]]:
        """See :class:`TrailStore`."""
        commands: list[Command] = [("HGET", _key(partition, row), field_of(row)) for row in rows]
        found = cast("list[bytes | None]", await self._redis.ask(commands) if rows else [])
        return [read_measures(value) if value else {} for value in found]

    async def inbox(self, partition: int, most: int) -> list[bytes]:
        """See :class:`TrailStore`."""
        command: Command = ("LRANGE", trail_inbox_redis_key(partition), 0, most - 1)
        (found,) = await self._redis.ask([command])
        return cast("list[bytes]", found)

    async def due(self, partition: int, now: int, most: int) -> list[Name]:
        """See :class:`TrailStore`."""
        key = trail_dues_redis_key(partition)
        command: Command = ("ZRANGE", key, "-inf", now, "BYSCORE", "LIMIT", 0, most)
        (found,) = await self._redis.ask([command])
        told = [each.decode().partition("/") for each in cast("list[bytes]", found)]
        return [Name(shop_id, bytes.fromhex(pseudonym)) for shop_id, _, pseudonym in told]

    async def post(self, letters: Sequence[Letter]) -> None:
        """See :class:`TrailStore`."""
        commands: list[Command] = []
        for letter in letters:
            key = trail_inbox_redis_key(letter.partition)
            commands += [("RPUSH", key, letter.value), ("EXPIRE", key, INBOX_KEPT_SECONDS)]
        if commands:
            await self._redis.ask(commands)

    async def write(self, partition: int, write: BatchWrite) -> bool:
        """See :class:`TrailStore`."""
        keys = [
            attribution_fence_redis_key(partition),
            trail_dues_redis_key(partition),
            trail_inbox_redis_key(partition),
        ]
        told: list[str | bytes | int] = [write.before, write.after]
        told += (len(write.trails), write.taken, FIGURES_KEPT_SECONDS)
        for name, value, expires_at, due_at in write.trails:
            keys.append(trail_redis_key(partition, name.pseudonym))
            told += (value, expires_at, "" if due_at is None else due_at, name.text)
        for key, fields in _hashes(partition, write.counts).items():
            keys.append(key)
            told += (len(fields) // 2, *fields)
        commands: list[Command] = [("SCRIPT", "LOAD", WRITE)]
        commands.append(("EVALSHA", _SHA, len(keys), *keys, *told))
        return (await self._redis.ask(commands))[1] == 1


def field_of(row: Row) -> bytes:
    """The field that a row has in its hash."""
    return msgspec.json.encode(row.names)


def read_field(field: bytes) -> Names:
    """The names of a row, from its field."""
    return cast("Names", tuple(msgspec.json.decode(field)))


_read_measures = msgspec.msgpack.Decoder(dict[str, int]).decode
_write_measures = msgspec.msgpack.Encoder().encode


def read_measures(value: bytes) -> dict[str, int]:
    """The measures of a row, from the field's value."""
    return _read_measures(value)


def _key(partition: int, row: Row) -> bytes:
    if row.day == NO_DAY:
        return experiments_redis_key(partition, row.shop_id)
    return figures_redis_key(partition, row.shop_id, row.day)


def _hashes(partition: int, counts: Counts) -> Mapping[bytes, list[bytes]]:
    """By hash: its fields, each followed by its value."""
    found: dict[bytes, list[bytes]] = {}
    for row, measures in counts.items():
        fields = found.setdefault(_key(partition, row), [])
        bounded = {name: min(value, MOST) for name, value in measures.items()}
        fields += (field_of(row), _write_measures(bounded))
    return found


def _text(value: object) -> str:
    return cast("bytes", value or b"").decode()
