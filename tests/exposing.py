"""A market of a few large and many small merchants, and what an exposure rule does to it.

Products lie at random in a few dimensions, as shoppers do; those of the large merchants are liked
better by all. So lists show the small ones less than their share of the catalogue.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

import numpy as np

from services.recommendations.domain.answer import Source
from services.recommendations.domain.candidates import Candidates, Exposing, Rules, chosen
from services.recommendations.domain.catalog import Catalog, Listing
from services.recommendations.domain.exposure import HOUR, Shares, Shown, lifting
from services.recommendations.domain.learned import Learned
from services.recommendations.domain.rerank import Caps
from services.shared.item_vectors import Floats, FullVectors
from services.shared.model_input import Vocabulary

DIMENSIONS: Final = 8
LARGE: Final = 4
"""Merchants who have three fifths of all products."""
SMALL: Final = 60
ADVANTAGE: Final = 1.0
"""How much better all like what the large ones sell, in standard deviations of taste."""
LIMIT: Final = 10
STEP: Final = HOUR // 60
"""Between two calls."""
DECISIVE: Final = 2.0
"""How much more likely a product is bought that is liked better by a standard deviation, as a
power of e."""


class Outcome(NamedTuple):
    """What a strength comes to."""

    exposure: float
    """The small merchants' share of what is shown, in the second half of the calls."""
    ndcg: float
    """At 10, of purchases that follow the scores without any lift."""
    never: int
    """How many small merchants were not shown at all in that half."""


class Market:
    """Products, their merchants, and shoppers who call one after the other."""

    def __init__(self, products: int, seed: int) -> None:
        self._source = np.random.default_rng(seed)
        names = [f"p{number:05d}" for number in range(products)]
        table = self._source.normal(size=(products + 1, DIMENSIONS)).astype(np.float32)
        table[0] = 0
        self.catalog = Catalog(Vocabulary(names))
        self._bias = np.zeros(products + 1, dtype=np.float32)
        for row, name in enumerate(names, start=1):
            is_large = self._source.random() < 0.6
            self._bias[row] = ADVANTAGE if is_large else 0.0
            number = self._source.integers(LARGE if is_large else SMALL)
            merchant = f"{'large' if is_large else 'small'} {number}"
            self.catalog.put_product(name, Listing(name, (), merchant))
        self._learned = Learned(FullVectors(table), np.zeros(products + 1, dtype=np.int32))
        self.share = float((self._bias[1:] == 0).mean())
        """Of the small merchants in the catalogue."""

    def run(self, strength: float, calls: int, seed: int) -> Outcome:
        """What ``calls`` shoppers are shown under a rule of that strength."""
        source = np.random.default_rng(seed)
        shown, shares = Shown(24.0, 0), Shares(self.catalog)
        counted: Counter[str] = Counter()
        gained: list[float] = []
        for call in range(calls):
            now = call * STEP
            scores = self._scores(source)
            rule = lifting(strength, shown, self.catalog, shares, now) if strength else None
            rows = self._list(scores.copy(), rule)
            merchants = [self.catalog.products.merchants[row] for row in rows]
            shown.add(merchants, now)
            if 2 * call >= calls:
                counted.update(merchants)
                gained.append(_ndcg(scores, rows))
        small = {name: count for name, count in counted.items() if name.startswith("small")}
        return Outcome(
            sum(small.values()) / counted.total(), float(np.mean(gained)), SMALL - len(small)
        )

    def _scores(self, source: np.random.Generator) -> Floats:
        taste = source.normal(size=DIMENSIONS).astype(np.float32) / np.sqrt(DIMENSIONS)
        scores: Floats = self._learned.vectors.scores(taste.astype(np.float32)) + self._bias
        return scores

    def _list(self, scores: Floats, rule: Exposing | None) -> list[int]:
        average = float(scores[1:].mean())
        candidates = Candidates(Source.PERSONAL, scores, average, lambda _: [])
        allowed = self.catalog.available[: self.catalog.rows]
        rules = Rules(allowed, (), 0.0, Caps(), rule)
        directions = self._learned.vectors.directions
        found = chosen(candidates, rules, self.catalog, directions, excluded=set(), limit=LIMIT)
        return [each.row for each in found]


def _ndcg(scores: Floats, rows: list[int]) -> float:
    """Of the first product that is bought, by chance: the better liked, the likelier."""
    chance = np.exp(DECISIVE * (scores[1:] - scores[1:].max()).astype(float))
    ideal = np.sort(chance)[::-1][: len(rows)]
    worth = 1 / np.log2(np.arange(2, len(rows) + 2))
    return float(chance[np.array(rows) - 1] @ worth / (ideal @ worth))
