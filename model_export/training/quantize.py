"""Learns product codes: for a large catalogue a few bytes a product instead of a whole vector.

Residual quantization, see :mod:`services.shared.product_codes`: k-means (Lloyd, "Least squares
quantization in PCM", 1982) of the vectors, then of what its centroids leave out, and so on. A
product weighs as often as shoppers turned to it: what is asked for every minute must be told
apart exactly, of what nobody asks for the direction is enough. How the model then learns on
says :mod:`model_export.training.coding`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.shared.item_vectors import Floats
from services.shared.product_codes import CENTROIDS, nearest

NUMBERS_A_BYTE: Final = 6.4
"""A code of one byte for so many numbers of a vector, so 20 for 128: a million products are then
20 times smaller than float32, their lengths and the codebooks counted."""

SAMPLE: Final = 65_536
"""Products that the centroids are learned from; 256 for each."""

ROUNDS: Final = 15

SELDOM: Final = 0.5
"""What a product weighs that nobody turned to, where one interaction weighs 1 more."""

Progress = Callable[[str], None]


def bytes_for(dimensions: int) -> int:
    """m: the length of a code for vectors of ``dimensions``; even, as codes are read in pairs."""
    return max(2, 2 * round(dimensions / NUMBERS_A_BYTE / 2))


def codebooks(
    vectors: Floats,
    interactions: NDArray[np.integer],
    length: int,
    *,
    seed: int,
    progress: Progress,
) -> Floats:
    """The centroids [m, 256, d] for vectors [n, d] of products with ``interactions`` [n].

    ``length`` is m. The same seed gives the same.
    """
    random = np.random.default_rng(seed)
    chosen, weights = _sample(interactions.astype(np.float64) + SELDOM, random)
    left = vectors[chosen]
    found = np.empty((length, CENTROIDS, vectors.shape[1]), dtype=np.float32)
    for number in range(length):
        progress(f"product codes: codebook {number + 1} of {length}")
        found[number] = _centroids(left, weights, random)
        left = left - found[number][nearest(left, found[number])]
    return found


def _sample(
    weights: NDArray[np.float64], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Products to learn from, and how much each weighs: all, or draws by weight."""
    if len(weights) <= SAMPLE:
        return np.arange(len(weights)), weights
    drawn = random.choice(len(weights), size=SAMPLE, p=weights / weights.sum())
    chosen, times = np.unique(drawn, return_counts=True)
    return chosen, times.astype(np.float64)


def _centroids(points: Floats, weights: NDArray[np.float64], random: np.random.Generator) -> Floats:
    """256 centroids [256, d] of points [n, d]; of 256 points or fewer, the points themselves."""
    if len(points) <= CENTROIDS:
        return points[np.minimum(np.arange(CENTROIDS), len(points) - 1)]
    first = random.choice(len(points), size=CENTROIDS, replace=False, p=weights / weights.sum())
    centroids, owner = points[first], np.full(len(points), -1)
    for _ in range(ROUNDS):
        before, owner = owner, nearest(points, centroids)
        if np.array_equal(before, owner):
            break
        centroids = _means(points, weights, owner, centroids)
    return centroids


def _means(
    points: Floats, weights: NDArray[np.float64], owner: NDArray[np.intp], centroids: Floats
) -> Floats:
    """The mean of the points that each centroid owns; one that owns none stays where it is."""
    whole = np.bincount(owner, weights, minlength=CENTROIDS)[:, None]
    sums = [np.bincount(owner, weights * column, minlength=CENTROIDS) for column in points.T]
    means = np.stack(sums, axis=1) / np.where(whole > 0, whole, 1)
    return np.where(whole > 0, means, centroids).astype(np.float32)
