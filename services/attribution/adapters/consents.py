"""What shoppers have allowed: a port, its fake, and Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from services.shared.consent import NOTHING_ASKED, Consent, ConsentUnknown, read_consent
from services.shared.personal_data import Person
from services.shared.redis_connection import Redis
from services.shared.subject import consent_redis_key

REFUSED = Consent(personalization=False)


class Consents(Protocol):
    """Tells what is allowed."""

    async def of(self, people: Sequence[Person]) -> list[Consent]:
        """What each allows; what cannot be read allows nothing. Raises RedisUnavailable."""
        ...


class MemoryConsents:
    """The fake: a dict."""

    def __init__(self) -> None:
        self.said: dict[Person, Consent] = {}

    async def of(self, people: Sequence[Person]) -> list[Consent]:
        """See :class:`Consents`."""
        return [self.said.get(person, NOTHING_ASKED) for person in people]


class RedisConsents:
    """What stands beside the profiles."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of(self, people: Sequence[Person]) -> list[Consent]:
        """See :class:`Consents`."""
        if not people:
            return []
        asked = [("GET", consent_redis_key(person.name)) for person in people]
        found = cast("list[bytes | None]", await self._redis.ask(asked))
        return [_read(value or b"") for value in found]


def _read(value: bytes) -> Consent:
    try:
        return read_consent(value)
    except ConsentUnknown:
        return REFUSED
