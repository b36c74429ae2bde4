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

COMPARE_AND_SET: Final = """
if redis.call('GETRANGE', KEYS[1], 0, 8) ~= ARGV[1] then return 0 end
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
return 1
"""
"""KEYS: profile, consent. ARGV: the version and the consent they must have ('' for none), the
new value ('' for none), milliseconds."""

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


class ProfileStore(Protocol):
    """Keeps profiles by ``shop_id/subject``."""

    @property
    def making(self) -> ProfileStore | None:
        """The next generation, as of the last :meth:`load`, if a rebuild is making it.

        Whatever is written must be written there as well, and there first.
        """
        ...

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        """What is kept of each shopper. One round trip for each :data:`AT_ONCE`.

        Raises RedisUnavailable.
        """
        ...

    async def save(self, writes: Sequence[Write], *, retention: timedelta) -> list[bool]:
        """Keep each for ``retention``; False where what it was made from is stored no more.

        One round trip for each :data:`AT_ONCE`. Raises RedisUnavailable; then some may have
        been written.
        """
        ...


async def read_profiles(store: ProfileStore, subjects: Sequence[tuple[str, str]]) -> list[Profile]:
    """The profile of each (shop_id, subject); EMPTY where there is none or none is allowed.

    Raises RedisUnavailable, and LayoutUnknown for a profile that a newer release has written.
    """
    found = await store.load([event_key(*subject) for subject in subjects])
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
            commands += [self._compare_and_set(write, keep) for write in some]
            done += [reply == 1 for reply in (await self._redis.ask(commands))[1:]]
        return done

    def reading(self, names: Sequence[bytes]) -> list[Command]:
        """The commands that read what is kept of each shopper."""
        return [
            ("MGET", profile_redis_key(name, self.number), consent_redis_key(name))
            for name in names
        ]

    def _compare_and_set(self, write: Write, keep_milliseconds: int) -> Command:
        name, before, value = write
        return (
            "EVALSHA",
            _SHA,
            2,
            profile_redis_key(name, self.number),
            consent_redis_key(name),
            version_of(before.value),
            before.consent,
            value,
            keep_milliseconds,
        )


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
    return [
        Stored(value or b"", consent or b"")
        for value, consent in cast("Sequence[list[bytes | None]]", replies)
    ]


def _slices(many: Sequence[T]) -> Iterator[Sequence[T]]:
    return (many[start : start + AT_ONCE] for start in range(0, len(many), AT_ONCE))
