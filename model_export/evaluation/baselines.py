"""What the model must beat: popularity, item-kNN, and what a household buys most.

Each ranks the whole catalogue from what was known before the cut (and, for the household's
own history, before the basket). Ties go to the lower item id. A list that runs short is
filled with popular products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import DAY, Prepared
from model_export.evaluation.cases import HISTORY, Case, Ranking
from model_export.evaluation.metrics import TOP, best
from services.shared.model_input import PURCHASE, TARGETS
from services.shared.neighbours import Neighbours

SHRINK: Final = 20.0
"""Chosen on the validation week of the Complete Journey data."""


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
    """Products like those in the history, by the users they share.

    The likeness of two items is the cosine of their sets of users (Sarwar et al., 2001), of
    which each item keeps its ``neighbours`` greatest; to itself it is 1. ``shrink`` in the
    cosine's denominator keeps two items that one user happened to share from being alike.
    A product's score is the sum of its likeness to each interaction of the history.
    """

    def __init__(
        self,
        data: Prepared,
        popularity: Popularity,
        *,
        before: int,
        neighbours: int = 100,
        shrink: float = SHRINK,
    ) -> None:
        """Learn from the newest interactions of each user in the parts below ``before``."""
        self._data = data
        self._popularity = popularity
        users, items = _newest_pairs(data, before)
        size = len(data.ids.items)
        self._starts, self._likes, self._weights = _neighbours(
            users, items, size, neighbours, shrink
        )

    def rank(self, cases: Sequence[Case]) -> Iterator[Ranking]:
        """See :class:`Ranker`."""
        for case in cases:
            turned_to = np.isin(self._data.actions[case.before], TARGETS)
            scores = self._scores(self._data.items[case.before][turned_to][-HISTORY:])
            every = best_positive(scores)
            scores[case.bought] = 0
            new = best_positive(scores)
            yield Ranking(self._filled(every, every), self._filled(new, case.bought))

    def matrix(self, known: NDArray[np.integer], *, itself: float) -> Neighbours:
        """The same likenesses for a bundle whose vocabulary is the items ``known``, in that order.

        ``itself`` is how much an item is like itself: the 1 of this baseline lets a product that
        was bought come back, 0 leaves that to the repeat-purchase table.
        """
        index = np.zeros(len(self._starts) - 1, dtype=np.int32)
        index[known] = np.arange(1, len(known) + 1)
        owners = np.repeat(np.arange(len(index)), np.diff(self._starts))
        there = (index[owners] > 0) & (index[self._likes] > 0)
        each = index[known] if itself else index[:0]
        rows = np.concatenate([index[owners][there], each])
        items = np.concatenate([index[self._likes][there], each])
        weights = np.concatenate([self._weights[there], np.full(len(each), itself)])
        order = np.lexsort((items, rows))
        starts = np.searchsorted(rows[order], np.arange(len(known) + 2)).astype(np.int64)
        return Neighbours(starts, items[order], weights[order].astype(np.float32))

    def _scores(self, history: NDArray[np.int32]) -> NDArray[np.float64]:
        """How much each item is like those of ``history``."""
        known, times = np.unique(history, return_counts=True)
        parts = [slice(self._starts[i], self._starts[i + 1]) for i in known]
        likes = np.concatenate([known, *(self._likes[part] for part in parts)])
        weights = np.concatenate(
            [times, *(self._weights[p] * t for p, t in zip(parts, times, strict=True))]
        )
        scores = np.bincount(likes, weights, minlength=len(self._data.ids.items))
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


def _newest_pairs(data: Prepared, before: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Each user's newest interactions as pairs (user, item), each pair once.

    A search has no item, and what was shown and not clicked says nothing of likeness.
    """
    rows = np.flatnonzero((data.parts < before) & np.isin(data.actions, TARGETS))
    users = data.users[rows].astype(np.int64)
    last = np.searchsorted(users, users, side="right")
    rows = rows[last - np.arange(len(users)) <= HISTORY]
    size = len(data.ids.items)
    pairs = np.unique(data.users[rows].astype(np.int64) * size + data.items[rows])
    return pairs // size, (pairs % size).astype(np.int32)


def _neighbours(
    users: NDArray[np.int64], items: NDArray[np.int32], size: int, most: int, shrink: float
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """For each item where its neighbours start, then all neighbours and their likeness."""
    user_starts = np.searchsorted(users, np.arange(users.max() + 2))
    by_item = np.argsort(items, kind="stable")
    counts = np.bincount(items, minlength=size)
    item_starts = np.concatenate([[0], np.cumsum(counts)])
    lengths = np.zeros(size, dtype=np.int64)
    likes: list[NDArray[np.int32]] = []
    weights: list[NDArray[np.float64]] = []
    for item in np.flatnonzero(counts).tolist():
        owners = users[by_item[item_starts[item] : item_starts[item + 1]]]
        baskets = [items[user_starts[u] : user_starts[u + 1]] for u in owners]
        others, shared = np.unique(np.concatenate(baskets), return_counts=True)
        cosine = shared / (np.sqrt(counts[item] * counts[others]) + shrink)
        cosine[others == item] = 0
        best = np.lexsort((others, -cosine))[: min(most, len(others) - 1)]
        lengths[item] = len(best)
        likes.append(others[best])
        weights.append(cosine[best])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return starts, np.concatenate(likes), np.concatenate(weights)
