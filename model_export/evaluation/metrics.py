"""Hit rate, recall and NDCG at 10, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.shared.scores import best as scores_best

TOP: Final = 10
DISCOUNT: Final = 1 / np.log2(np.arange(2, TOP + 2))
"""What a hit at rank 1, 2, … 10 is worth (Järvelin and Kekäläinen, 2002)."""
DRAWS: Final = 1000
AT_ONCE: Final = 1 << 22
"""Numbers that are drawn at the same time: 32 MB."""


class Interval(NamedTuple):
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def hit_rate(ranked: NDArray[np.integer], relevant: NDArray[np.integer]) -> float:
    """1 if any of the first ten of ``ranked`` is relevant, else 0."""
    return float(np.isin(ranked[:TOP], relevant).any())


def recall(ranked: NDArray[np.integer], relevant: NDArray[np.integer]) -> float:
    """The share of ``relevant`` that is among the first ten of ``ranked``.

    ``relevant`` names each product once; at least one. With exactly one, as after leave one
    out, it is the hit rate: what papers call Recall@10.
    """
    return float(np.isin(ranked[:TOP], relevant).sum() / len(relevant))


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
    sums = np.bincount(owner, values).astype(np.float64)[:, None]
    counts = np.bincount(owner).astype(np.float64)[:, None]
    low, high = np.percentile(drawn_means(sums, counts, seed=seed)[:, 0], (2.5, 97.5))
    return Interval(float(values.mean()), float(low), float(high))


def drawn_means(
    sums: NDArray[np.float64], counts: NDArray[np.float64], *, seed: int, draws: int = DRAWS
) -> NDArray[np.float64]:
    """K means over cases in each of ``draws`` samples of users: [draws, K].

    ``sums`` [U, K] are of each user's cases, ``counts`` [U, K] how many they are. In one draw
    all K are of the same users, so they may be compared. NaN where no drawn user has a case.
    """
    with np.errstate(invalid="ignore"):
        found = [
            (drawn @ sums) / (drawn @ counts) for drawn in _draws(len(sums), seed=seed, draws=draws)
        ]
    return np.concatenate(found)


def best(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """The ten greatest of ``scores`` [n], greatest first, ties by place; -inf never."""
    return scores_best(scores, TOP)


def _draws(users: int, *, seed: int, draws: int) -> Iterator[NDArray[np.float64]]:
    """How often each user is drawn, some draws [n, U] at a time; the chunks change nothing."""
    random = np.random.default_rng(seed)
    chunk = max(1, AT_ONCE // users)
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        drawn = random.multinomial(users, np.full(users, 1 / users), size=size)
        yield drawn.astype(np.float64)
