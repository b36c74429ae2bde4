"""Where arms that a guard has stopped are told to the servers: a port, its fake, and Redis.

What is written asks for no right in Redis that counting does not need as well, so that no list of
rights that was right before keeps a broken arm running.
"""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

from services.shared.redis_connection import Command, Redis
from services.shared.stopped_arms import KEPT_SECONDS, StoppedArm, encode_stopped
from services.shared.subject import stopped_arms_redis_key

ADD: Final = """
redis.call('EXPIRE', KEYS[1], ARGV[3])
if redis.call('HGET', KEYS[1], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
_SHA: Final = hashlib.sha1(ADD.encode(), usedforsecurity=False).hexdigest()


class Stops(Protocol):
    """Keeps stopped arms. Raises RedisUnavailable."""

    async def add(self, shop_id: str, stopped: StoppedArm) -> bool:
        """Keep it, unless the arm is stopped already; whether it was not."""
        ...


class MemoryStops:
    """The fake: a dict."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, bytes], StoppedArm] = {}

    async def add(self, shop_id: str, stopped: StoppedArm) -> bool:
        """See :class:`Stops`."""
        is_new = (shop_id, stopped.field) not in self.kept
        self.kept.setdefault((shop_id, stopped.field), stopped)
        return is_new


class RedisStops:
    """A hash for each shop."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, shop_id: str, stopped: StoppedArm) -> bool:
        """See :class:`Stops`."""
        key, value = stopped_arms_redis_key(shop_id), encode_stopped(stopped)
        commands: list[Command] = [
            ("SCRIPT", "LOAD", ADD),
            ("EVALSHA", _SHA, 1, key, stopped.field, value, KEPT_SECONDS),
        ]
        return (await self._redis.ask(commands))[1] == 1
