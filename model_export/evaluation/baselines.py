"""What the model must beat: popularity, item-kNN, and what a household buys most.

Each ranks the whole catalogue from what was known before the cut (and, for the household's
own history, before the basket). Ties go to the lower item id. A list that runs short is
filled with popular products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import DAY, Prepared, vocabulary_index
from model_export.evaluation.cases import HISTORY, Case, Ranking
from model_export.evaluation.metrics import TOP, best
from model_export.training.neighbours import MOST, SHRINK, learn_neighbours
from services.shared.model_input import PURCHASE, TARGETS


class Ranker(Protocol):
    """Ranks products for cases."""

    def rank(self, cases: Sequence[Case]) -> Iterator[Ranking]:
        """One ranking for each case, in their order."""
        ...


class Popularity:
    """The same products for everybody: those bought most in the days before the cut."""

    def __init__(self, data: Prepared, *, before: int, days: int | None) -> None:
        """``before`` is the first part that must not be seen; no ``days`` means all."""
        counts = purchases(data, before=before, days=days)
        self.order: NDArray[np.int64] = np.argsort(-counts, kind="stable")
        """All items, best first."""

    def rank(self, cases: Sequence[Case]) -> Iterator[Ranking]:
        """See :class:`Ranker`."""
        for case in cases:
            yield Ranking(self.order[:TOP], self.beyond(case.bought))

    def beyond(self, excluded: NDArray[np.integer]) -> NDArray[np.int64]:
        """The ten best that are not ``excluded``."""
        best = self.order[: TOP + len(excluded)]
        return best[~np.isin(best, excluded)][:TOP]


class Frequency:
    """What this household bought most often, all its history counted, not only the newest."""

    def __init__(self, data: Prepared, popularity: Popularity) -> None:
        self._data = data
        self._popularity = popularity

    def rank(self, cases: Sequence[Case]) -> Iterator[Ranking]:
        """See :class:`Ranker`. Nothing new is in a history: there it is popularity."""
        for case in cases:
            rows = self._data.items[case.before]
            bought = rows[self._data.actions[case.before] == PURCHASE]
            items, counts = np.unique(bought, return_counts=True)
            best = items[np.argsort(-counts, kind="stable")][:TOP]
            more = self._popularity.beyond(best)
            new = self._popularity.beyond(case.bought)
            yield Ranking(np.concatenate([best, more])[:TOP], new)


class ItemKNN:
    """Products like those in the history, see :mod:`model_export.training.neighbours`.

    A product's score is the sum of its likeness to each interaction of the history; to itself
    it is 1.
    """

    def __init__(
        self,
        data: Prepared,
        popularity: Popularity,
        *,
        before: int,
        most: int = MOST,
        shrink: float = SHRINK,
    ) -> None:
        """Learn from the newest interactions of each user in the parts below ``before``."""
        self._data = data
        self._popularity = popularity
        index = vocabulary_index(data.ids, np.arange(len(data.ids.items)))[: len(data.ids.items)]
        self._near = learn_neighbours([data], index, before=before, most=most, shrink=shrink)

    def rank(self, cases: Sequence[Case]) -> Iterator[Ranking]:
        """See :class:`Ranker`."""
        for case in cases:
            turned_to = np.isin(self._data.actions[case.before], TARGETS)
            scores = self._scores(self._data.items[case.before][turned_to][-HISTORY:])
            every = best_positive(scores)
            scores[case.bought] = 0
            new = best_positive(scores)
            yield Ranking(self._filled(every, every), self._filled(new, case.bought))

    def _scores(self, history: NDArray[np.int32]) -> NDArray[np.float64]:
        """How much each item is like those of ``history``."""
        known, times = np.unique(history, return_counts=True)
        items, weights = self._near.scores(known + 1, times.astype(np.float32))
        likes = np.concatenate([known, items - 1])
        scores = np.bincount(
            likes, np.concatenate([times, weights]), minlength=len(self._data.ids.items)
        )
        return scores.astype(np.float64, copy=False)

    def _filled(self, best: NDArray[np.int64], excluded: NDArray[np.integer]) -> NDArray[np.int64]:
        if len(best) == TOP:
            return best
        more = self._popularity.beyond(np.union1d(best, excluded))
        return np.concatenate([best, more])[:TOP]


def purchases(data: Prepared, *, before: int, days: int | None) -> NDArray[np.int64]:
    """How often each item was bought in the last ``days`` before part ``before``.

    All time without ``days``, and where the split is by position and not by time.
    """
    seen = (data.parts < before) & (data.actions == PURCHASE)
    if days is not None and data.source.held_out_from:
        seen &= data.at > data.at[data.parts < before].max() - days * DAY
    return np.bincount(data.items[seen], minlength=len(data.ids.items))


def best_positive(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The ten greatest of ``scores`` [n] that are above 0, ties by place."""
    found = np.flatnonzero(scores > 0)
    return found[best(scores[found])]
