"""How varied lists are, and what that cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export.evaluation.metrics import TOP, Interval, interval
from services.shared.item_vectors import Floats
from tests.bench.diversity.shop import Asked, Lists, Shop

FIRST: Final = 4
"""What a shopper sees of a list without turning to it."""


class Variety(NamedTuple):
    """What may be said of C lists of ten products."""

    ndcg: NDArray[np.float64]
    """[C]"""
    distance: float
    """Mean of 1 - cosine over the pairs of a list."""
    first: float
    """The same over its first four."""
    apart: float | None
    """Share of pairs of different categories, where any are known."""
    different: Mapping[str, float]
    """How many categories, brands and merchants a list has, as far as any are known."""
    coverage: float
    """Share of the catalogue that is in any list."""


def variety(shop: Shop, asked: Asked, lists: Lists) -> Variety:
    """Measure the lists of a question's cases."""
    directions = shop.vectors.directions(lists)
    kinds = shop.kinds_of(lists)
    return Variety(
        shop.ndcg(asked, lists),
        distance(directions),
        distance(directions[:, :FIRST]),
        None if kinds.category is None else pairs_apart(kinds.category),
        {name: different(c) for name, c in kinds._asdict().items() if c is not None},
        len(np.unique(lists)) / shop.size,
    )


def lost(asked: Asked, ndcg: NDArray[np.float64], whole: NDArray[np.float64]) -> Interval:
    """How much less ``ndcg`` [C] is than ``whole``, in percent of it, with its 95 % interval."""
    found = interval(whole - ndcg, asked.users, seed=1)
    return Interval(*(100 * each / float(whole.mean()) for each in found))


def distance(directions: Floats) -> float:
    """The mean of 1 - cosine over the pairs of each list, of directions [C, k, d]."""
    size = directions.shape[1]
    whole = np.square(directions.sum(axis=1, dtype=np.float64)).sum(axis=1)
    own = np.square(directions, dtype=np.float64).sum(axis=(1, 2))
    return float(1 - (whole - own).mean() / (size * (size - 1)))


def different(codes: NDArray[np.integer]) -> float:
    """How many different ones a list has on average, of codes [C, 10]."""
    ordered = np.sort(codes, axis=1)
    return float(1 + (np.diff(ordered, axis=1) != 0).sum(axis=1).mean())


def pairs_apart(codes: NDArray[np.integer]) -> float:
    """Which share of the pairs of a list are of different kinds, of codes [C, 10]."""
    apart = (codes[:, :, None] != codes[:, None, :]).sum(axis=(1, 2))
    return float(apart.mean() / (TOP * (TOP - 1)))
