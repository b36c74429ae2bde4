"""People's keys, remembered for a minute: asking Redis for one at each answer would be too dear.

What that means for an erasure: the answers of the next minute are still sealed under the key that
was deleted, so nobody can ever read them, which is the safe side. A key that is remembered is not
kept longer in Redis, hence :data:`REMEMBERED_SECONDS` must stay far below the day by which keys
outlive what is sealed under them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from services.shared.letter_keys import LetterKeys, Person
from services.shared.sealing import Seal

REMEMBERED_SECONDS: Final = 60.0
PEOPLE: Final = 20_000
"""At most so many are remembered; each takes about half a kilobyte."""


class RememberedLetterKeys:
    """:class:`LetterKeys` in front of others."""

    def __init__(self, keys: LetterKeys, *, clock: Callable[[], float]) -> None:
        """``clock`` tells seconds; only its differences count."""
        self._keys = keys
        self._clock = clock
        self._known: dict[bytes, tuple[float, Person]] = {}

    async def for_sealing(self, people: Sequence[bytes]) -> list[Person]:
        """See :class:`LetterKeys`; only of those that are not remembered others are asked."""
        oldest = self._clock() - REMEMBERED_SECONDS
        found = {
            person: known[1]
            for person in people
            if (known := self._known.get(person)) is not None and known[0] > oldest
        }
        fresh = [person for person in people if person not in found]
        if fresh:
            told = dict(zip(fresh, await self._keys.for_sealing(fresh), strict=True))
            self._remember(told)
            found |= told
        return [found[person] for person in people]

    async def for_opening(self, pseudonyms: Sequence[bytes]) -> list[Seal | None]:
        """See :class:`LetterKeys`; never remembered."""
        return await self._keys.for_opening(pseudonyms)

    async def erase(self, people: Sequence[bytes]) -> None:
        """See :class:`LetterKeys`."""
        await self._keys.erase(people)
        for person in people:
            self._known.pop(person, None)

    def _remember(self, told: dict[bytes, Person]) -> None:
        """The oldest leave first: a dict keeps the order in which its keys came."""
        now = self._clock()
        for person, kept in told.items():
            self._known.pop(person, None)
            self._known[person] = now, kept
        while len(self._known) > PEOPLE:
            del self._known[next(iter(self._known))]
