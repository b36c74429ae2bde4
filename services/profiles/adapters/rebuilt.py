"""Profiles that a rebuild writes: each expires when the shopper's last event says so.

A worker writes the same profiles meanwhile, of events that come now; of the two times to live
the longer one stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from services.shared.profile_codec import version_of
from services.shared.profile_store import RedisGeneration, Stored, Write
from services.shared.redis_connection import Command, Redis
from services.shared.subject import consent_redis_key, profile_redis_key

COMPARE_AND_SET: Final = """
if redis.call('GETRANGE', KEYS[1], 0, 8) ~= ARGV[1] then return 0 end
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('DEL', KEYS[1])
else
  local left = math.max(tonumber(ARGV[4]), redis.call('PTTL', KEYS[1]))
  redis.call('SET', KEYS[1], ARGV[3], 'PX', string.format('%.0f', left))
end
return 1
"""
"""As the one of :mod:`services.shared.profile_store`, but never shortens a time to live."""

AT_ONCE: Final = 256

_SHA: Final = hashlib.sha1(COMPARE_AND_SET.encode(), usedforsecurity=False).hexdigest()


class RebuiltProfiles:
    """A :class:`ProfileStore` of the generation that is being made."""

    making: Final = None

    def __init__(
        self, redis: Redis, generation: int, milliseconds_left: Callable[[bytes], int]
    ) -> None:
        """``milliseconds_left`` tells how much longer a ``shop_id/subject`` is kept; 1 or more."""
        self._redis = redis
        self._generation = RedisGeneration(redis, generation)
        self._milliseconds_left = milliseconds_left

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        """See :class:`ProfileStore`."""
        return await self._generation.load(names)

    async def save(self, writes: Sequence[Write], *, retention: timedelta) -> list[bool]:
        """See :class:`ProfileStore`; no longer than ``retention``."""
        most = retention // timedelta(milliseconds=1)
        done: list[bool] = []
        for start in range(0, len(writes), AT_ONCE):
            commands: list[Command] = [("SCRIPT", "LOAD", COMPARE_AND_SET)]
            commands += [self._command(write, most) for write in writes[start : start + AT_ONCE]]
            done += [reply == 1 for reply in (await self._redis.ask(commands))[1:]]
        return done

    def _command(self, write: Write, most: int) -> Command:
        name, before, value = write
        return (
            "EVALSHA",
            _SHA,
            2,
            profile_redis_key(name, self._generation.number),
            consent_redis_key(name),
            version_of(before.value),
            before.consent,
            value,
            min(self._milliseconds_left(name), most),
        )
