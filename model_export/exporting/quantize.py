"""Learns product codes: for a large catalogue a few bytes a product instead of a whole vector.

Each part of the vectors is clustered by itself (k-means: Lloyd, "Least squares quantization in
PCM", 1982), which gives the codebooks that :mod:`services.shared.product_quantization`
describes. Plain clustering of a finished model's vectors; what a model learns after that, with its
codes held, is training's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.shared.item_vectors import Floats
from services.shared.product_quantization import CENTROIDS, nearest

WIDTH: Final = 8
"""Numbers that one byte stands for: 32 times smaller than float32."""

SAMPLE: Final = 65_536
"""Products that the centroids are learned from; 256 for each."""

ROUNDS: Final = 25

Progress = Callable[[str], None]


def parts_for(dimensions: int) -> int:
    """m: how many parts vectors of ``dimensions`` are cut into.

    The parts are of equal width: the smallest divisor of ``dimensions`` from :data:`WIDTH` on.
    """
    width = next(w for w in range(min(WIDTH, dimensions), dimensions + 1) if dimensions % w == 0)
    return dimensions // width


def codebooks(vectors: Floats, parts: int, *, seed: int, progress: Progress) -> Floats:
    """The centroids [m, 256, d/m] of vectors [n, d]; the same seed gives the same.

    Of fewer than 256 different parts some centroids stand twice.
    """
    random = np.random.default_rng(seed)
    count, dimensions = vectors.shape
    width = dimensions // parts
    chosen = np.sort(random.choice(count, size=min(count, SAMPLE), replace=False))
    found = np.empty((parts, CENTROIDS, width), dtype=np.float32)
    for part in range(parts):
        progress(f"product codes: part {part + 1} of {parts}")
        points = np.ascontiguousarray(vectors[chosen, part * width : (part + 1) * width])
        found[part] = _centroids(points, random)
    return found


def _centroids(points: Floats, random: np.random.Generator) -> Floats:
    """256 centroids [256, w] of points [n, w]."""
    different = np.unique(points, axis=0)
    if len(different) <= CENTROIDS:
        return different[np.minimum(np.arange(CENTROIDS), len(different) - 1)]
    centroids = different[random.choice(len(different), size=CENTROIDS, replace=False)]
    owner: NDArray[np.intp] | None = None
    for _ in range(ROUNDS):
        before, owner = owner, nearest(points, centroids)
        if before is not None and np.array_equal(before, owner):
            break
        centroids = _means(points, owner, centroids)
    return centroids


def _means(points: Floats, owner: NDArray[np.intp], centroids: Floats) -> Floats:
    """The mean of the points that each centroid owns; one that owns none stays where it is."""
    counts = np.bincount(owner, minlength=CENTROIDS)[:, None]
    sums = [np.bincount(owner, column, minlength=CENTROIDS) for column in points.T]
    means = np.stack(sums, axis=1) / np.maximum(counts, 1)
    return np.where(counts > 0, means, centroids).astype(np.float32)
