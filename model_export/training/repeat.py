"""Learns what buying again is worth: from how often, how long ago, and what.

Each basket of the training part is a choice among the products its shopper had bought
before. A product's chance is ``table[count][recency] · own[product]``, as a share of the sum
over all the shopper could have bought again: a conditional logit (McFadden, 1974), fitted by
the minorize-maximize steps that Hunter gives for such models ("MM algorithms for generalized
Bradley-Terry models", 2004), which have no learning rate and no random numbers. As a share
*within* the basket's shopper, a product is not taken for one that comes back because those
who buy it buy much of everything. Frequency and recency are what foretells repeat
consumption (Anderson et al., WWW 2014; Benson et al., WWW 2016), and products differ
(Bhagat et al., KDD 2018).

A purchase counts 1 over the best DCG that its basket allows, as NDCG will count it. Without
that, large baskets teach what is bought on large trips, and lists for small ones are poor:
on the Complete Journey's validation week NDCG@10 of the table alone is .224 without and .235
with it.

Recency bounds are quantiles of the recencies that occur, so minutes and years both find
theirs. A product's own part is drawn to 1 by :data:`PRIOR` purchases, a cell's to the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import Interactions
from model_export.evaluation.cases import HISTORY
from model_export.evaluation.metrics import most_gain
from services.shared.model_input import PURCHASE
from services.shared.repeat import bought_before, buckets

Numbers = NDArray[np.float64]

COUNTS: Final = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
RECENCIES: Final = 16
"""Buckets of recency, at most: as many quantiles."""
PRIOR: Final = 1.0
"""Chosen on the validation week of the Complete Journey data, and flat there from ½ to 3."""
ROUNDS: Final = 15
"""Steps of the fit; the ranking stands still after ten."""
MOST_BASKETS: Final = 50_000
"""So many teach: a few seconds. On the Complete Journey's validation week the table's NDCG@10 is
.234 from 12,000 baskets, .236 from 24,000, .237 from 48,000 and .238 from 78,000."""
LEAST: Final = 1e-9
"""A part below it counts as this, so that it has a logarithm."""


class Learned(NamedTuple):
    """Logarithms of the parts of a chance; a :class:`services.shared.repeat.RepeatTable`'s."""

    counts: tuple[float, ...]
    recency_days: tuple[float, ...]
    score: Numbers
    """[len(counts) + 1, len(recency_days) + 1]."""
    again: Numbers
    """[rows]; 0 where nothing was learned."""
    repeats: int
    """How many products were bought again in what was learned from; 0: nothing was learned."""


class _Examples(NamedTuple):
    """E pairs of one of B baskets and a product that its shopper had bought before."""

    baskets: NDArray[np.int64]
    products: NDArray[np.integer]
    """[E] rows."""
    counts: NDArray[np.int64]
    days: Numbers
    worth: Numbers
    """[E] what buying it again counts; 0 where it was not bought again."""


def learn_repeat(
    shards: Sequence[Interactions],
    index: NDArray[np.integer],
    *,
    before: int,
    by_time: bool,
) -> Learned:
    """Learn from the purchases in the parts below ``before``.

    ``index`` [items] has the row of each item of the data, 0 for one that is to be left out.
    Split ``by_time`` the newest :data:`MOST_BASKETS` baskets teach, for habits change; else,
    where times say little, so many evenly out of all.
    """
    found = _examples(shards, index, before, by_time)
    recency_days = _quantiles(found.days) if len(found.days) else ()
    wide = len(recency_days) + 1
    cells = buckets(found.counts, COUNTS) * wide + buckets(found.days, recency_days)
    table, own = _fit(found, cells, (len(COUNTS) + 1) * wide, int(index.max(initial=0)) + 1)
    return Learned(
        counts=COUNTS,
        recency_days=recency_days,
        score=np.log(np.maximum(table, LEAST)).reshape(-1, wide),
        again=np.log(np.maximum(own, LEAST)),
        repeats=int(np.count_nonzero(found.worth)),
    )


def _quantiles(days: Numbers) -> tuple[float, ...]:
    """Bounds of buckets that hold about as much each; fewer where many are equal."""
    return tuple(np.unique(np.quantile(days, np.arange(1, RECENCIES) / RECENCIES)).tolist())


def _fit(
    found: _Examples, cells: NDArray[np.int64], size: int, rows: int
) -> tuple[Numbers, Numbers]:
    """The parts of the table's ``size`` cells and of ``rows`` products; all 1 without repeats."""
    table, own = np.ones(size), np.ones(rows)
    most = int(found.baskets.max(initial=-1)) + 1
    whole = np.bincount(found.baskets, found.worth, most)
    in_cell = np.bincount(cells, found.worth, size)
    of_product = np.bincount(found.products, found.worth, rows)
    for _ in range(ROUNDS if whole.any() else 0):
        chances = table[cells] * own[found.products]
        among = np.bincount(found.baskets, chances, most)[found.baskets]
        share = whole[found.baskets] / among
        expected = np.bincount(cells, share * own[found.products], size)
        mean = in_cell.sum() / expected.sum()
        table = (in_cell + PRIOR * mean) / (expected + PRIOR)
        expected = np.bincount(found.products, share * table[cells], rows)
        own = (of_product + PRIOR) / (expected + PRIOR)
    return table, own


def _examples(
    shards: Sequence[Interactions], index: NDArray[np.integer], before: int, by_time: bool
) -> _Examples:
    none = np.zeros(0, dtype=np.int64)
    parts = [_Examples(none, none, none, none.astype(np.float64), none.astype(np.float64))]
    for number, (orders, basket) in enumerate(_chosen(shards, before, by_time)):
        parts.append(orders.examples(basket, number, index))
    return _Examples(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _chosen(
    shards: Sequence[Interactions], before: int, by_time: bool
) -> Iterator[tuple[_Orders, int]]:
    """The baskets that teach; of all shards only the baskets' times are held at once."""
    times = [_Orders(shard, before).times for shard in shards]
    at = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *times]))
    since = at[-MOST_BASKETS:][0] if by_time and len(at) else 0
    step = 1 if by_time else max(1, -(-len(at) // MOST_BASKETS))
    passed = 0
    for shard, each in zip(shards, times, strict=True):
        wanted = (each >= since) & ((np.arange(len(each)) + passed) % step == 0)
        passed += len(each)
        orders = _Orders(shard, before)
        for basket in orders.asked[wanted].tolist():
            yield orders, basket


class _Orders:
    """The purchases of one shard, by baskets."""

    def __init__(self, shard: Interactions, before: int) -> None:
        rows = np.flatnonzero((shard.parts < before) & (shard.actions == PURCHASE))
        self._items, self._at, users = shard.items[rows], shard.at[rows], shard.users[rows]
        new = np.diff(users, prepend=-1) != 0
        self._starts = np.flatnonzero(new | (np.diff(self._at, prepend=-1) != 0))
        self._stops = np.append(self._starts[1:], len(rows))
        self._firsts = np.flatnonzero(new)[np.cumsum(new)[self._starts] - 1]
        self.asked = np.flatnonzero(self._starts > self._firsts)
        """The baskets with something before them."""
        self.times = self._at[self._starts[self.asked]]

    def examples(self, basket: int, number: int, index: NDArray[np.integer]) -> _Examples:
        """What the shopper had bought before, and whether it is in the basket again."""
        start, stop = self._starts[basket], self._stops[basket]
        past = slice(max(self._firsts[basket], start - HISTORY), start)
        items = index[self._items[past]].astype(np.int64)
        known = items > 0
        found = bought_before(
            items[known], np.full(known.sum(), PURCHASE), self._at[past][known], self._at[start]
        )
        lines = np.unique(self._items[start:stop])
        again = np.isin(found.products, index[lines])
        baskets = np.full(len(again), number)
        return _Examples(baskets, *found, worth=again / most_gain(len(lines)))
