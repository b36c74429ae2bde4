"""Hit rate and NDCG at 10, with confidence intervals."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.shared.scores import best as scores_best

TOP: Final = 10
DISCOUNT: Final = 1 / np.log2(np.arange(2, TOP + 2))
"""What a hit at rank 1, 2, … 10 is worth (Järvelin and Kekäläinen, 2002)."""
DRAWS: Final = 1000


class Interval(NamedTuple):
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def hit_rate(ranked: NDArray[np.integer], relevant: NDArray[np.integer]) -> float:
    """1 if any of the first ten of ``ranked`` is relevant, else 0."""
    return float(np.isin(ranked[:TOP], relevant).any())


def ndcg(ranked: NDArray[np.integer], relevant: NDArray[np.integer]) -> float:
    """The discounted hits of the first ten, as a share of the most there could be.

    ``relevant`` names each product once; at least one.
    """
    hits = np.isin(ranked[:TOP], relevant)
    return float((hits * DISCOUNT[: len(hits)]).sum() / most_gain(len(relevant)))


def most_gain(relevant: int) -> float:
    """The discounted hits of the best ranking where so many products are relevant."""
    return float(DISCOUNT[: min(TOP, relevant)].sum())


def interval(values: NDArray[np.float64], users: NDArray[np.integer], *, seed: int) -> Interval:
    """The mean of ``values`` with a bootstrap over users.

    Whole users are drawn, not cases: baskets of one household resemble each other, and
    drawing them singly would make the interval too narrow.
    """
    _, owner = np.unique(users, return_inverse=True)
    sums = np.bincount(owner, values)
    counts = np.bincount(owner).astype(np.float64)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=DRAWS)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(values.mean()), float(low), float(high))


def best(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """The ten greatest of ``scores`` [n], greatest first, ties by place; -inf never."""
    return scores_best(scores, TOP)
