"""What a shopper searched for lifts the products whose words match, at once.

The model reads products, not words. So the newest searches are matched against the
catalogue's own words, and each product gets a bonus between 0 and 1: the share of the
query's meaning that its words cover (:meth:`WordIndex.weights`), halved every
:data:`HALF_LIFE` hours. The best search counts, not the sum, so the bonus stays bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.word_index import WordIndex
from services.recommendations.domain.words import words_of
from services.shared.profile import Search

HALF_LIFE: Final = 6.0
"""Hours. A search says what is wanted in this visit, not in this month."""

SEARCHES: Final = 5
"""How many of the newest searches count."""

WORDS: Final = 16
"""How many words of one search count."""

LEAST_WEIGHT: Final = 0.05
"""Searches that have decayed below this are not looked at (after about a day)."""

MICROSECONDS_A_MINUTE: Final = 60_000_000


class SearchBonus(NamedTuple):
    """The bonus of each row, and which search it comes from."""

    values: NDArray[np.float32]
    """[n] between 0 and 1."""
    origins: NDArray[np.int8]
    """[n] index into ``searches``; meaningless where the bonus is 0."""
    searches: tuple[Search, ...]

    def of(self, row: int) -> tuple[float, Search]:
        """A row's bonus and the search that gave it."""
        return float(self.values[row]), self.searches[self.origins[row]]


def search_bonus(
    searches: Sequence[Search], index: WordIndex, *, rows: int, listed: int, now: int
) -> SearchBonus | None:
    """The bonus of all ``rows``; None if no search is recent enough and matches anything.

    ``searches`` is oldest first, ``listed`` counts the catalogue's products, ``now`` is in
    microseconds. A search dated after ``now`` counts as made now.
    """
    live = [(search, _weight(search.at, now)) for search in reversed(searches[-SEARCHES:])]
    matches = [
        (search, *_match(search.query, index, listed, weight))
        for search, weight in live
        if weight >= LEAST_WEIGHT
    ]
    matches = [match for match in matches if len(match[1])]
    if not matches:
        return None
    values = np.zeros(rows, dtype=np.float32)
    origins = np.zeros(rows, dtype=np.int8)
    for origin, (_, found, bonus) in enumerate(matches):
        better = bonus > values[found]
        values[found[better]] = bonus[better]
        origins[found[better]] = origin
    return SearchBonus(values, origins, tuple(search for search, _, _ in matches))


def _weight(at: int, now: int) -> float:
    """Decay goes by whole minutes, so the same call a moment later has the same scores."""
    minutes = max(now // MICROSECONDS_A_MINUTE - at // MICROSECONDS_A_MINUTE, 0)
    return float(0.5 ** (minutes / 60 / HALF_LIFE))


def _match(
    query: str, index: WordIndex, listed: int, weight: float
) -> tuple[NDArray[np.intc], NDArray[np.float32]]:
    """The rows that have a word of ``query``, each once, and their bonus."""
    shares = index.weights(words_of(query)[:WORDS], size=listed)
    if not shares:
        return np.zeros(0, dtype=np.intc), np.zeros(0, dtype=np.float32)
    found = [index.rows_of(word) for word in shares]
    if len(found) == 1:
        return found[0], np.full(len(found[0]), weight, dtype=np.float32)
    rows, place = np.unique(np.concatenate(found), return_inverse=True)
    worth = np.repeat(list(shares.values()), [len(each) for each in found])
    return rows, (weight * np.bincount(place, weights=worth)).astype(np.float32)
