"""What a store that holds something of persons must be able to do.

Whoever asks what is known of them, wants a copy of it, or asks to be forgotten, asks all of
Attune at once; so every store stands in one registry, :mod:`services.shared.personal_stores`,
and a test fails for a place in Redis, in Kafka or in the archive that no store answers for.

A person is a subject of one shop. A user and the visitors linked to them are subjects of
their own; whoever asks for a user asks for each.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final, NamedTuple, Protocol

from services.shared.subject import event_key

Entry = Mapping[str, Any]
"""One thing that is known, in what JSON can hold."""

AT_ONCE: Final = timedelta(0)


class Person(NamedTuple):
    """One subject of one shop, see :mod:`services.shared.subject`."""

    shop_id: str
    subject: str

    @property
    def name(self) -> bytes:
        """``shop_id/subject``, as keys in Kafka and Redis have it."""
        return event_key(self.shop_id, self.subject)


async def is_any(entries: AsyncGenerator[Entry, None]) -> bool:
    """Whether there is one; no more than that is read."""
    async with aclosing(entries):
        async for _ in entries:
            return True
    return False


class PersonalStore(Protocol):
    """Holds something of persons."""

    @property
    def places(self) -> frozenset[str]:
        """Which of the places that are known it answers for, such as a topic's name."""
        ...

    async def find(self, person: Person, /) -> bool:
        """Whether anything is kept of the person, besides what they have asked for themselves.

        Raises Unavailable.
        """
        ...

    def export(self, person: Person, /) -> AsyncIterator[Entry]:
        """All that is kept of the person, entry by entry. Raises Unavailable."""
        ...

    async def erase(self, person: Person, /) -> timedelta:
        """Forget the person. May be done again.

        Answers after how long the last of it is gone, or cannot be read by anybody any more:
        :data:`AT_ONCE`, or a topic's retention. Raises Unavailable; then it must be done again.
        """
        ...
