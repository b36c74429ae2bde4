"""Where training starts: item vectors that already say which items share shoppers.

The first d singular vectors of the matrix of users and items, its columns scaled to length
1: in its Gram matrix two items have their cosine (that of item-kNN), so the singular
vectors are the best d-dimensional summary of item-kNN, and a model that starts from them
needs half the epochs. The randomized method: Halko, Martinsson and Tropp (2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from model_export.dataset import Interactions
from services.shared.model_input import TARGETS

OVERSAMPLED: Final = 16
ITERATIONS: Final = 4
MOST_PAIRS: Final = 20_000_000
"""Pairs of user and item that are looked at; more change little and cost memory."""


def co_occurrence_vectors(
    shards: Sequence[Interactions],
    index: NDArray[np.int64],
    *,
    part: int,
    products: int,
    dimensions: int,
    seed: int,
) -> NDArray[np.float32]:
    """Unit vectors [products + 1, d] of indices; zeros where an item has no company.

    They come from the parts up to ``part``. ``index`` has the row of each code, 0 for others.
    """
    matrix = _users_by_items(shards, index, part, products)
    random = np.random.default_rng([seed, 0])
    width = min(dimensions + OVERSAMPLED, *matrix.shape)
    span = random.standard_normal((matrix.shape[1], width))
    for _ in range(ITERATIONS):
        span, _ = np.linalg.qr(matrix.T @ (matrix @ span))
    _, values, right = np.linalg.svd(matrix @ span, full_matrices=False)
    vectors = (span @ right.T)[:, :dimensions]
    alike = np.sqrt(np.maximum(values[:dimensions] ** 2 - 1, 0))  # less the likeness to itself
    vectors = vectors * np.sqrt(alike) * _signs(vectors)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found = np.zeros((products + 1, dimensions), dtype=np.float32)
    found[:, : vectors.shape[1]] = np.where(lengths > 1e-9, vectors / np.maximum(lengths, 1e-9), 0)
    return found


def _users_by_items(
    shards: Sequence[Interactions], index: NDArray[np.int64], part: int, products: int
) -> sparse.csr_array:
    users, items, pairs = [], [], 0
    for shard in shards:
        rows = (shard.parts <= part) & np.isin(shard.actions, TARGETS)
        rows &= index[shard.items] > 0
        users.append(shard.users[rows].astype(np.int64))
        items.append(index[shard.items[rows]])
        pairs += len(users[-1])
        if pairs > MOST_PAIRS:
            break
    user, item = np.concatenate(users), np.concatenate(items)
    _, user = np.unique(user, return_inverse=True)
    shape = (int(user.max(initial=0)) + 1, products + 1)
    matrix = sparse.csr_array((np.ones(len(user)), (user, item)), shape=shape)
    matrix.data[:] = 1  # a pair counts once
    sums: NDArray[np.float64] = np.asarray(matrix.sum(axis=0)).ravel()
    return sparse.csr_array(matrix * (1 / np.sqrt(np.maximum(sums, 1))))


def _signs(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """A singular vector may as well be its opposite: make its greatest component positive."""
    if not vectors.size:
        return np.ones(vectors.shape[1])
    greatest = np.abs(vectors).argmax(axis=0)
    signs: NDArray[np.float64] = np.sign(vectors[greatest, np.arange(vectors.shape[1])])
    return signs
