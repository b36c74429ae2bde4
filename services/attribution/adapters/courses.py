"""Where the course of each experiment is kept: a port, its fake, and Redis."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final, Protocol, cast

import msgspec

from services.attribution.domain.course import Course
from services.shared.redis_connection import Command, Redis
from services.shared.subject import experiment_course_redis_key

KEPT_SECONDS: Final = 400 * 24 * 3600
"""After the last look."""

SWAP: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
_SHA: Final = hashlib.sha1(SWAP.encode(), usedforsecurity=False).hexdigest()


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What all looks so far have seen."""

    since: datetime
    """The first look that found a shopper in it."""
    course: Course


class Courses(Protocol):
    """Keeps courses. Raises RedisUnavailable."""

    async def load(self, shop_id: str, experiment: str) -> tuple[bytes, Seen | None]:
        """What is kept, and what to show when it is replaced."""
        ...

    async def save(self, shop_id: str, experiment: str, before: bytes, seen: Seen) -> bool:
        """Keep it, unless somebody else has kept another one since ``before`` was loaded."""
        ...


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Seen).decode


class MemoryCourses:
    """The fake: a dict."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    async def load(self, shop_id: str, experiment: str) -> tuple[bytes, Seen | None]:
        """See :class:`Courses`."""
        value = self.kept.get((shop_id, experiment), b"")
        return value, _decode(value) if value else None

    async def save(self, shop_id: str, experiment: str, before: bytes, seen: Seen) -> bool:
        """See :class:`Courses`."""
        if self.kept.get((shop_id, experiment), b"") != before:
            return False
        self.kept[shop_id, experiment] = _encode(seen)
        return True


class RedisCourses:
    """One value for each experiment."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def load(self, shop_id: str, experiment: str) -> tuple[bytes, Seen | None]:
        """See :class:`Courses`."""
        key = experiment_course_redis_key(shop_id, experiment)
        (found,) = await self._redis.ask([("GET", key)])
        value = cast("bytes | None", found) or b""
        return value, _decode(value) if value else None

    async def save(self, shop_id: str, experiment: str, before: bytes, seen: Seen) -> bool:
        """See :class:`Courses`."""
        key = experiment_course_redis_key(shop_id, experiment)
        commands: list[Command] = [
            ("SCRIPT", "LOAD", SWAP),
            ("EVALSHA", _SHA, 1, key, before, _encode(seen), KEPT_SECONDS),
        ]
        return (await self._redis.ask(commands))[1] == 1
