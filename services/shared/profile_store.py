"""Where profiles are kept: a port, its fake, and Redis.

A write names what it was made from, the profile's version and the shopper's consent, and
happens only if both are still the stored ones (compare-and-set): a worker that has lost its
partition cannot overwrite what the next one has written, and nothing is written that was
asked to be forgotten a moment ago.

Profiles have a *generation*, see :mod:`services.shared.profile_generations`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import chain
from typing import Final, NamedTuple, Protocol, TypeVar, cast

from services.shared import profile_codec
from services.shared.consent import read_consent
from services.shared.profile import EMPTY, Profile
from services.shared.profile_codec import version_of
from services.shared.profile_generations import read_generations
from services.shared.redis_connection import Command, Redis, Reply
from services.shared.subject import (
    GENERATION_REDIS_KEY,
    consent_redis_key,
    event_key,
    profile_redis_key,
)

AT_ONCE: Final = 256
"""Profiles in one round trip. A full one has up to a megabyte, and a round trip a deadline."""

IN_ONE_SCRIPT: Final = 64
"""Profiles that one script writes where they may lie in several slots; Redis does nothing else
meanwhile."""

COMPARE_AND_SET: Final = """
local count, keep, done = #KEYS / 2, ARGV[1], {}
local consents = redis.call('MGET', unpack(KEYS, count + 1))
for i = 1, count do
  local version, consent, value = unpack(ARGV, 3 * i - 1, 3 * i + 1)
  if redis.call('GETRANGE', KEYS[i], 0, 8) ~= version or (consents[i] or '') ~= consent then
    done[i] = 0
  else
    if value == '' then redis.call('DEL', KEYS[i])
    else redis.call('SET', KEYS[i], value, 'PX', keep) end
    done[i] = 1
  end
end
return done
"""
"""KEYS: profiles, then their consents. ARGV: milliseconds, then for each profile the version and
the consent it must have ('' for none) and the new value ('' for none). Answers 1 for each that is
written and 0 for each that had another."""

T = TypeVar("T")

_SHA: Final = hashlib.sha1(COMPARE_AND_SET.encode(), usedforsecurity=False).hexdigest()


class Stored(NamedTuple):
    """What is kept of one shopper; b"" for what is not there."""

    value: bytes
    consent: bytes


NOTHING: Final = Stored(b"", b"")


class Write(NamedTuple):
    """A profile to keep. ``name`` is ``shop_id/subject``, as in Kafka."""

    name: bytes
    before: Stored
    """What ``value`` was made from."""
    value: bytes
    """b"" to keep none."""


class ProfileSource(Protocol):
    """Has profiles by ``shop_id/subject``."""

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        """What is kept of each shopper. One round trip for each :data:`AT_ONCE`.

        Raises RedisUnavailable.
        """
        ...


class ProfileStore(ProfileSource, Protocol):
    """Keeps them, too."""

    @property
    def making(self) -> ProfileStore | None:
        """The next generation, as of the last :meth:`load`, if a rebuild is making it.

        Whatever is written must be written there as well, and there first.
        """
        ...

    async def save(self, writes: Sequence[Write], *, retention: timedelta) -> list[bool]:
        """Keep each for ``retention``; False where what it was made from is stored no more.

        One round trip for each :data:`AT_ONCE`. Raises RedisUnavailable; then some may have
        been written.
        """
        ...


async def read_profiles(
    source: ProfileSource, subjects: Sequence[tuple[str, str]]
) -> list[Profile]:
    """The profile of each (shop_id, subject); EMPTY where there is none or none is allowed.

    Raises RedisUnavailable, and LayoutUnknown for a profile that a newer release has written.
    """
    found = await source.load([event_key(*subject) for subject in subjects])
    return [
        profile_codec.decode(value)
        if not consent or read_consent(consent).personalization
        else EMPTY
        for value, consent in found
    ]


class MemoryProfileStore:
    """The fake: profiles in a dict, as the bytes that Redis would keep."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` tells seconds; only its differences count."""
        self.consents: dict[bytes, bytes] = {}
        self.making: ProfileStore | None = None
        self._values: dict[bytes, tuple[bytes, float]] = {}
        self._clock = clock

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        """See :class:`ProfileStore`."""
        return [self._load(name) for name in names]

    async def save(self, writes: Sequence[Write], *, retention: timedelta) -> list[bool]:
        """See :class:`ProfileStore`."""
        return [self._save(write, retention.total_seconds()) for write in writes]

    def _load(self, name: bytes) -> Stored:
        value, expires = self._values.get(name, (b"", 0.0))
        return Stored(value if self._clock() < expires else b"", self.consents.get(name, b""))

    def _save(self, write: Write, retention_seconds: float) -> bool:
        now, before = self._load(write.name), write.before
        is_same = version_of(now.value) == version_of(before.value)
        if not is_same or now.consent != before.consent:
            return False
        self._values[write.name] = (write.value, self._clock() + retention_seconds)
        return True


class RedisGeneration:
    """One generation of profiles, whichever is the present one; each a key that expires."""

    making: Final = None

    def __init__(self, redis: Redis, number: int) -> None:
        self._redis = redis
        self.number: Final = number

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        """See :class:`ProfileStore`."""
        found: list[Stored] = []
        for some in _slices(names):
            found += _stored(await self._redis.ask(self.reading(some)))
        return found

    async def save(self, writes: Sequence[Write], *, retention: timedelta) -> list[bool]:
        """See :class:`ProfileStore`."""
        keep = retention // timedelta(milliseconds=1)
        done: list[bool] = []
        for some in _slices(writes):
            # Loading the script along costs microseconds and needs no second round trip after
            # Redis was restarted and has forgotten it.
            commands: list[Command] = [("SCRIPT", "LOAD", COMPARE_AND_SET)]
            size = 1 if self._redis.is_cluster else IN_ONE_SCRIPT
            commands += [self._compare_and_set(each, keep) for each in _slices(some, size)]
            replies = cast("Sequence[list[int]]", (await self._redis.ask(commands))[1:])
            done += [reply == 1 for reply in chain.from_iterable(replies)]
        return done

    def reading(self, names: Sequence[bytes]) -> list[Command]:
        """The commands that read what is kept of each shopper: profiles, then consents."""
        size = 1 if self._redis.is_cluster else AT_ONCE
        return [("MGET", *self._keys(some)) for some in _slices(names, size)]

    def _keys(self, names: Sequence[bytes]) -> list[bytes]:
        number = self.number
        return [
            *[profile_redis_key(name, number) for name in names],
            *[consent_redis_key(name) for name in names],
        ]

    def _compare_and_set(self, writes: Sequence[Write], keep_milliseconds: int) -> Command:
        keys = self._keys([write.name for write in writes])
        told: list[bytes] = []
        for _, before, value in writes:
            told += (version_of(before.value), before.consent, value)
        return ("EVALSHA", _SHA, len(keys), *keys, keep_milliseconds, *told)


class RedisProfileStore:
    """The present generation in Redis, and the one that is being made."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._present = RedisGeneration(redis, 0)
        self._making: RedisGeneration | None = None

    @property
    def making(self) -> ProfileStore | None:
        """See :class:`ProfileStore`."""
        return self._making

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        """See :class:`ProfileStore`."""
        found: list[Stored] = []
        for some in _slices(names):
            found += await self._load(some)
        return found

    async def _load(self, names: Sequence[bytes]) -> list[Stored]:
        """One round trip; another one where profiles have just got a new generation."""
        while True:
            asked = self._present
            commands: list[Command] = [("GET", GENERATION_REDIS_KEY), *asked.reading(names)]
            told, *pairs = await self._redis.ask(commands)
            present, making = read_generations(cast("bytes | None", told))
            self._making = None if making is None else RedisGeneration(self._redis, making)
            if present == asked.number:
                return _stored(pairs)
            self._present = RedisGeneration(self._redis, present)

    async def save(self, writes: Sequence[Write], *, retention: timedelta) -> list[bool]:
        """See :class:`ProfileStore`."""
        return await self._present.save(writes, retention=retention)


def _stored(replies: Sequence[Reply]) -> list[Stored]:
    """What was read, see :meth:`RedisGeneration.reading`."""
    return [
        Stored(value or b"", consent or b"")
        for some in cast("Sequence[list[bytes | None]]", replies)
        for value, consent in zip(some[: len(some) // 2], some[len(some) // 2 :], strict=True)
    ]


def _slices(many: Sequence[T], size: int = AT_ONCE) -> Iterator[Sequence[T]]:
    return (many[start : start + size] for start in range(0, len(many), size))
