"""What a shopper bought before, by what buying it again is worth now.

A product that is bought every week is worth most about a week after the last time, not the day
after. How much it is worth after how many purchases and how many days says the bundle's table
(:mod:`services.shared.repeat`); the same table is a part of personal scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain import reasons
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.learned import Learned
from services.recommendations.domain.ranking import HIDDEN
from services.recommendations.domain.reasons import Reason
from services.shared.item_vectors import Floats
from services.shared.model_input import PURCHASE, Known
from services.shared.profile import Purchase
from services.shared.repeat import MASKED, RepeatTable, bought_before, buckets, repeat_scores


class Again(NamedTuple):
    """Products that were bought before; k of them."""

    rows: NDArray[np.intp]
    """[k] each once."""
    scores: Floats
    """[k]; what is never bought again is hidden."""
    last: Mapping[int, int]
    """By row when it was bought last, in microseconds since 1970."""
    due: Set[int]
    """The rows whose time it is."""
    catalog: Catalog

    def reason(self, row: int) -> Reason:
        """That it is the time, or where it is not, only that it was bought."""
        told = reasons.of_time if row in self.due else reasons.of_earlier_purchase
        return told(self.catalog.product_id(row), self.last[row])


def bought_again(
    lines: Sequence[Purchase], table: RepeatTable, learned: Learned, catalog: Catalog, now: int
) -> Again | None:
    """Of ``lines``, oldest first, the products that are listed and learned; None without any."""
    last: dict[int, int] = {}
    found: list[tuple[int, int]] = []
    for line in lines:
        row = catalog.row(line.product_id)
        if row is not None and learned.has(row):
            found.append((row, line.at))
            last[row] = line.at
    if not found:
        return None
    items, at = np.array(found, dtype=np.int64).T
    known = Known(items.astype(np.int32), np.full(len(items), PURCHASE), at)
    products, gains = repeat_scores(table, *known, now)
    rows = products.astype(np.intp)
    scores = np.where(gains > MASKED / 2, gains, HIDDEN)
    return Again(rows, scores, last, {*rows[_due(table, known, now)].tolist()}, catalog)


def _due(table: RepeatTable, known: Known, now: int) -> NDArray[np.bool_]:
    """[k] whether a product bought so often is worth more now than in the mean of all times."""
    _, counts, days = bought_before(*known, now)
    worth = np.asarray(table.score)[buckets(counts, table.counts)]
    present = worth[np.arange(len(days)), buckets(days, table.recency_days)]
    due: NDArray[np.bool_] = present > worth.mean(axis=1) + np.finfo(np.float32).eps
    return due
