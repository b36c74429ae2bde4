"""Where profiles are kept: a port, its fake, and Redis.

A write names the revision it was made from and happens only if that is still the stored
one (compare-and-set), so a worker that has lost its partition cannot overwrite what the
next one has written.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol, TypeVar, cast

from services.shared import profile_codec
from services.shared.profile import EMPTY, Profile
from services.shared.redis_connection import Command, Redis
from services.shared.subject import profile_redis_key

AT_ONCE: Final = 256
"""Profiles in one round trip. A full one has up to a megabyte, and a round trip a deadline."""

COMPARE_AND_SET: Final = """
if redis.call('GETRANGE', KEYS[1], 1, 8) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
"""KEYS: the profile. ARGV: the revision it must have ('' for none), value, milliseconds."""

T = TypeVar("T")

_SHA: Final = hashlib.sha1(COMPARE_AND_SET.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class ProfileWrite:
    """A profile to keep; ``revision`` is the one that was read (0 if there was none)."""

    shop_id: str
    subject: str
    profile: Profile
    revision: int


class ProfileStore(Protocol):
    """Keeps profiles by shop and subject."""

    async def read(self, subjects: Sequence[tuple[str, str]]) -> list[tuple[Profile, int]]:
        """The profile and its revision for each (shop_id, subject); missing: (EMPTY, 0).

        One round trip for each :data:`AT_ONCE`. Raises RedisUnavailable, and LayoutUnknown
        for a profile that a newer release has written.
        """
        ...

    async def write(self, writes: Sequence[ProfileWrite], *, retention: timedelta) -> list[bool]:
        """Keep each profile for ``retention``; False where someone else wrote first.

        One round trip for each :data:`AT_ONCE`. Raises RedisUnavailable; then some may have
        been written.
        """
        ...


class MemoryProfileStore:
    """The fake: profiles in a dict, as the bytes that Redis would keep."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` tells seconds; only its differences count."""
        self._values: dict[tuple[str, str], tuple[bytes, float]] = {}
        self._clock = clock

    async def read(self, subjects: Sequence[tuple[str, str]]) -> list[tuple[Profile, int]]:
        """See :class:`ProfileStore`."""
        return [self._read(subject) for subject in subjects]

    async def write(self, writes: Sequence[ProfileWrite], *, retention: timedelta) -> list[bool]:
        """See :class:`ProfileStore`."""
        return [self._write(write, retention.total_seconds()) for write in writes]

    def _read(self, subject: tuple[str, str]) -> tuple[Profile, int]:
        value, expires = self._values.get(subject, (b"", 0.0))
        if not value or self._clock() >= expires:
            return EMPTY, 0
        return profile_codec.decode(value)

    def _write(self, write: ProfileWrite, retention_seconds: float) -> bool:
        subject = (write.shop_id, write.subject)
        if self._read(subject)[1] != write.revision:
            return False
        value = profile_codec.encode(write.profile, write.revision + 1)
        self._values[subject] = (value, self._clock() + retention_seconds)
        return True


class RedisProfileStore:
    """Profiles in Redis, each one value under one key that expires."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, subjects: Sequence[tuple[str, str]]) -> list[tuple[Profile, int]]:
        """See :class:`ProfileStore`."""
        found: list[tuple[Profile, int]] = []
        for some in _slices(subjects):
            commands: list[Command] = [("GET", profile_redis_key(*subject)) for subject in some]
            values = cast("list[bytes | None]", await self._redis.ask(commands))
            found += [(EMPTY, 0) if each is None else profile_codec.decode(each) for each in values]
        return found

    async def write(self, writes: Sequence[ProfileWrite], *, retention: timedelta) -> list[bool]:
        """See :class:`ProfileStore`."""
        keep = retention // timedelta(milliseconds=1)
        done: list[bool] = []
        for some in _slices(writes):
            # Loading the script along costs microseconds and needs no second round trip after
            # Redis was restarted and has forgotten it.
            commands: list[Command] = [("SCRIPT", "LOAD", COMPARE_AND_SET)]
            commands.extend(_compare_and_set(write, keep) for write in some)
            done += [reply == 1 for reply in (await self._redis.ask(commands))[1:]]
        return done


def _slices(many: Sequence[T]) -> Iterator[Sequence[T]]:
    return (many[start : start + AT_ONCE] for start in range(0, len(many), AT_ONCE))


def _compare_and_set(write: ProfileWrite, keep_milliseconds: int) -> Command:
    value = profile_codec.encode(write.profile, write.revision + 1)
    known = write.revision.to_bytes(8, "big") if write.revision else b""
    key = profile_redis_key(write.shop_id, write.subject)
    return ("EVALSHA", _SHA, 1, key, known, value, keep_milliseconds)
