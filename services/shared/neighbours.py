"""Item-kNN in a bundle: for each product its nearest others, as a sparse matrix.

``neighbours.npz`` has the matrix S by rows (compressed sparse rows)::

    starts   [n+1] int64         row j is the places starts[j] to starts[j+1] of the others
    items    [e] int32           which products are like product j …
    weights  [e] float16 or 32   … and how much; of j itself only if it is stored, too

Whoever makes it says what likeness is; the cosine of the sets of users who bought two products
(Sarwar et al., WWW 2001) is what ``model_export`` uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.shared.bundle_files import check_array, read_arrays
from services.shared.errors import BundleRefused
from services.shared.item_vectors import Floats, scattered


@dataclass(frozen=True, slots=True)
class Neighbours:
    """See the module; n products with padding, e likenesses."""

    starts: NDArray[np.int64]
    items: NDArray[np.int32]
    weights: Floats

    def scores(
        self, items: NDArray[np.integer], weights: Floats
    ) -> tuple[NDArray[np.int32], Floats]:
        """Products, and what the history of ``items`` [h], counting ``weights`` [h], adds to each.

        Σⱼ weightⱼ·S[j, i], term by term: a product stands as often as something is like it, and
        the terms are to be added up.
        """
        starts = self.starts[items]
        lengths = self.starts[items + 1] - starts
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        places = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
        return self.items[places], self.weights[places] * np.repeat(weights, lengths)

    def in_rows(self, rows: NDArray[np.integer], size: int) -> Neighbours:
        """The same matrix with product i at ``rows`` [n] i of ``size``; the rest is like none."""
        lengths = np.diff(self.starts)
        order = np.argsort(rows, kind="stable")
        firsts = np.cumsum(lengths[order]) - lengths[order]
        places = np.arange(len(self.items)) + np.repeat(self.starts[order] - firsts, lengths[order])
        starts = np.concatenate([[0], np.cumsum(scattered(lengths, rows, size))])
        items = rows[self.items[places]].astype(np.int32)
        return Neighbours(starts, items, self.weights[places])


def read_neighbours(path: Path, rows: int) -> Neighbours:
    """The matrix of ``rows`` products, padding counted. Raises BundleRefused."""
    arrays = read_arrays(path)
    if set(arrays) != {"starts", "items", "weights"}:
        raise BundleRefused(f"{path} has {sorted(arrays)}, not starts, items and weights")
    starts, items, weights = arrays["starts"], arrays["items"], arrays["weights"]
    check_array(path, starts, np.int64, (rows + 1,), "starts")
    check_array(path, items, np.int32, items.shape[:1], "items")
    kind = np.float32 if weights.dtype == np.float32 else np.float16
    check_array(path, weights, kind, items.shape, "weights")
    if starts[0] != 0 or starts[-1] != len(items) or (np.diff(starts) < 0).any():
        raise BundleRefused(f"{path}: starts must rise from 0 to the number of items")
    if len(items) and (items.min() < 1 or items.max() >= rows):
        raise BundleRefused(f"{path}: items names products that are not in the vocabulary")
    return Neighbours(starts, items, weights.astype(np.float32))
