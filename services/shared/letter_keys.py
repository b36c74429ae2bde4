"""Where the keys of people's dead letters are kept: a port, its fake, and Redis.

A key is random, wrapped by the master key, and lives a day longer than the last letter sealed
under it. Whoever deletes it has erased that person's letters, wherever copies of them may lie.
It is named by the person's pseudonym, as the letters are, so that a letter finds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, NamedTuple, Protocol, cast

from services.shared.consent import read_consent
from services.shared.redis_connection import Command, Redis
from services.shared.sealing import MasterKey, Seal
from services.shared.subject import consent_redis_key, letter_key_redis_key

KEPT: Final = timedelta(days=31)
"""Dead letters are kept for 30 days."""

_KEPT_MS: Final = KEPT // timedelta(milliseconds=1)


class Person(NamedTuple):
    """What a person's letters are sealed under."""

    seal: Seal
    erased_at: int
    """Microseconds since 1970: what reached the broker until then is forgotten."""


class LetterKeys(Protocol):
    """Keeps a key for each person with dead letters."""

    async def for_sealing(self, people: Sequence[bytes]) -> list[Person]:
        """The key of each ``shop_id/subject``, made where there is none. One round trip.

        From now on it is kept for :data:`KEPT`. Raises RedisUnavailable, and SealBroken where
        what is kept is damaged.
        """
        ...

    async def for_opening(self, pseudonyms: Sequence[bytes]) -> list[Seal | None]:
        """The key of each; None where it was erased or has expired. One round trip.

        Raises RedisUnavailable, and SealBroken where what is kept is damaged.
        """
        ...

    async def erase(self, people: Sequence[bytes]) -> None:
        """No letter about any of these opens any more. Raises RedisUnavailable."""
        ...


class MemoryLetterKeys:
    """The fake: keys in a dict."""

    def __init__(self, master: MasterKey, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` tells seconds; only its differences count."""
        self.consents: dict[bytes, bytes] = {}
        self._master = master
        self._clock = clock
        self._keys: dict[bytes, tuple[Seal, float]] = {}

    async def for_sealing(self, people: Sequence[bytes]) -> list[Person]:
        """See :class:`LetterKeys`."""
        return [self._for_sealing(person) for person in people]

    async def for_opening(self, pseudonyms: Sequence[bytes]) -> list[Seal | None]:
        """See :class:`LetterKeys`."""
        return [self._kept(pseudonym) for pseudonym in pseudonyms]

    async def erase(self, people: Sequence[bytes]) -> None:
        """See :class:`LetterKeys`."""
        for person in people:
            self._keys.pop(self._master.pseudonym(person), None)

    def _for_sealing(self, person: bytes) -> Person:
        pseudonym = self._master.pseudonym(person)
        seal = self._kept(pseudonym) or Seal(self._master.new_person_key())
        self._keys[pseudonym] = seal, self._clock() + KEPT.total_seconds()
        return Person(seal, read_consent(self.consents.get(person, b"")).erased_at)

    def _kept(self, pseudonym: bytes) -> Seal | None:
        seal, expires = self._keys.get(pseudonym, (None, 0.0))
        return seal if self._clock() < expires else None


class RedisLetterKeys:
    """Keys in Redis, each one value that expires."""

    def __init__(self, redis: Redis, master: MasterKey) -> None:
        self._redis = redis
        self._master = master

    async def for_sealing(self, people: Sequence[bytes]) -> list[Person]:
        """See :class:`LetterKeys`."""
        names = [self._master.pseudonym(person) for person in people]
        commands: list[Command] = []
        for person, pseudonym in zip(people, names, strict=True):
            key = letter_key_redis_key(pseudonym)
            fresh = self._master.wrap(self._master.new_person_key(), pseudonym=pseudonym)
            commands += [
                ("SET", key, fresh, "NX", "PX", _KEPT_MS),
                ("GETEX", key, "PX", _KEPT_MS),
                ("GET", consent_redis_key(person)),
            ]
        replies = cast("list[bytes | None]", await self._redis.ask(commands))
        return [
            Person(
                Seal(self._master.unwrap(wrapped or b"", pseudonym=pseudonym)),
                read_consent(consent or b"").erased_at,
            )
            for pseudonym, wrapped, consent in zip(names, replies[1::3], replies[2::3], strict=True)
        ]

    async def for_opening(self, pseudonyms: Sequence[bytes]) -> list[Seal | None]:
        """See :class:`LetterKeys`."""
        replies = cast(
            "list[bytes | None]",
            await self._redis.ask([("GET", letter_key_redis_key(name)) for name in pseudonyms]),
        )
        return [
            None if wrapped is None else Seal(self._master.unwrap(wrapped, pseudonym=pseudonym))
            for pseudonym, wrapped in zip(pseudonyms, replies, strict=True)
        ]

    async def erase(self, people: Sequence[bytes]) -> None:
        """See :class:`LetterKeys`."""
        names = [self._master.pseudonym(person) for person in people]
        await self._redis.ask([("DEL", letter_key_redis_key(name)) for name in names])
