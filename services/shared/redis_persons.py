"""What Redis keeps of a person: a profile, and what the person has allowed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Final, cast

import msgspec

from services.shared.consent import read_consent, write_consent
from services.shared.errors import RedisUnavailable
from services.shared.personal_data import AT_ONCE, Entry, Person
from services.shared.profile import Profile
from services.shared.profile_codec import decode
from services.shared.profile_generations import read_generations
from services.shared.redis_connection import Command, Redis
from services.shared.subject import (
    GENERATION_REDIS_KEY,
    consent_redis_key,
    profile_redis_key,
)

RACES_LIMIT: Final = 20

FORGET: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
return 1
"""
"""KEYS: consent, profiles. ARGV: the consent it must have ('' for none), and its new value."""

_SHA: Final = hashlib.sha1(FORGET.encode(), usedforsecurity=False).hexdigest()


class RedisPersons:
    """A :class:`PersonalStore` over the profiles."""

    places: Final = frozenset({"profile_redis_key", "consent_redis_key"})

    def __init__(
        self, redis: Redis, *, now_micros: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        """``now_micros`` tells microseconds since 1970."""
        self._redis = redis
        self._now_micros = now_micros

    async def find(self, person: Person) -> bool:
        """See :class:`PersonalStore`."""
        return any(await self._profiles(person))

    async def export(self, person: Person) -> AsyncIterator[Entry]:
        """See :class:`PersonalStore`. What is allowed is told as well."""
        (consent,) = await self._redis.ask([("GET", consent_redis_key(person.name))])
        if consent:
            yield {
                "kind": "consent",
                **msgspec.structs.asdict(read_consent(cast("bytes", consent))),
            }
        for profile in await self._profiles(person):
            if profile:
                yield {"kind": "profile", **_told(decode(profile))}

    async def erase(self, person: Person) -> timedelta:
        """See :class:`PersonalStore`. What happened until now stays forgotten.

        The moment is kept beside what the person allows, so that an event that comes late, or
        is read again, does not bring anything back.
        """
        consent_key = consent_redis_key(person.name)
        for _ in range(RACES_LIMIT):
            (before,) = await self._redis.ask([("GET", consent_key)])
            kept = cast("bytes | None", before) or b""
            after = msgspec.structs.replace(read_consent(kept), erased_at=self._now_micros())
            keys = [consent_key, *await self._profile_keys(person)]
            commands: list[Command] = [
                ("SCRIPT", "LOAD", FORGET),
                ("EVALSHA", _SHA, len(keys), *keys, kept, write_consent(after)),
            ]
            if (await self._redis.ask(commands))[1] == 1:
                return AT_ONCE
        raise RedisUnavailable("what the person allows changes all the time; try again")

    async def _profiles(self, person: Person) -> list[bytes]:
        keys = await self._profile_keys(person)
        (found,) = await self._redis.ask([("MGET", *keys)])
        return [value or b"" for value in cast("list[bytes | None]", found)]

    async def _profile_keys(self, person: Person) -> list[bytes]:
        """Of the present generation, of the next, and of the one before, which may linger."""
        (text,) = await self._redis.ask([("GET", GENERATION_REDIS_KEY)])
        present = read_generations(cast("bytes | None", text)).present
        around = range(max(present - 1, 0), present + 2)
        return [profile_redis_key(person.name, generation) for generation in around]


def _told(profile: Profile) -> dict[str, Any]:
    """Fields and entries by their names."""
    told = msgspec.structs.asdict(profile)
    return {
        name: [msgspec.structs.asdict(entry) for entry in value]
        if isinstance(value, tuple)
        else value
        for name, value in told.items()
    }
