"""What a model has learned of products: a vector for each, behind one small interface.

Two things hold vectors: the whole table (:class:`FullVectors`), and product codes for a large
catalogue (:class:`services.shared.product_codes.CodedVectors`). Both say what the vector
of a product *is*; scores and likeness are exact for those vectors, whichever holds them.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
T = TypeVar("T", bound=np.generic)

SHORTEST = np.float32(1e-12)
"""A vector shorter than this has no direction."""


class ItemVectors(Protocol):
    """Vectors of n products with d dimensions; row 0 is padding and zeros. Never changed."""

    @property
    def size(self) -> int:
        """n, padding counted."""
        ...

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has: d."""
        ...

    @property
    def nbytes(self) -> int:
        """How much memory all of it takes."""
        ...

    def rows(self, indices: NDArray[np.integer]) -> Floats:
        """The vectors [..., d] of products [...], to look a history up."""
        ...

    def directions(self, indices: NDArray[np.integer]) -> Floats:
        """:meth:`rows` at length 1 (zeros stay zeros), for cosines."""
        ...

    def scores(self, query: Floats) -> Floats:
        """The query [d] · vector of every product: [n], the caller's own to change.

        Exact but for float32's rounding: each product's terms are added up in float32, in an
        order that the implementation chooses, so two implementations agree within a few
        times 2⁻²⁴ of Σ|qᵢvᵢ|.
        """
        ...

    def scores_batch(self, queries: Floats) -> Floats:
        """:meth:`scores` of queries [B, d]: [B, n]."""
        ...

    def likeness(self, direction: Floats) -> Floats:
        """The cosine of every product's vector with a direction [d] of length 1: [n]."""
        ...

    def appended(self, vectors: Floats) -> ItemVectors:
        """The same with k products more, of the vectors [k, d], behind the others."""
        ...

    def in_rows(self, rows: NDArray[np.integer], size: int) -> ItemVectors:
        """The same vectors elsewhere: that of product i at ``rows`` [n] i, zeros in the rest."""
        ...


class FullVectors:
    """The whole table, as float32."""

    def __init__(self, table: NDArray[np.floating[Any]]) -> None:
        """Take ``table`` [n, d]; row 0 must be zeros."""
        self._table: Floats = np.ascontiguousarray(table, dtype=np.float32)
        self._scale = inverse(np.linalg.norm(self._table, axis=1))

    @property
    def size(self) -> int:
        """See :class:`ItemVectors`."""
        return len(self._table)

    @property
    def dimensions(self) -> int:
        """See :class:`ItemVectors`."""
        return int(self._table.shape[1])

    @property
    def nbytes(self) -> int:
        """See :class:`ItemVectors`."""
        return self._table.nbytes + self._scale.nbytes

    def rows(self, indices: NDArray[np.integer]) -> Floats:
        """See :class:`ItemVectors`."""
        found: Floats = self._table[indices]
        return found

    def directions(self, indices: NDArray[np.integer]) -> Floats:
        """See :class:`ItemVectors`."""
        found: Floats = self._table[indices] * self._scale[indices, None]
        return found

    def scores(self, query: Floats) -> Floats:
        """See :class:`ItemVectors`."""
        found: Floats = np.dot(self._table, query)
        return found

    def scores_batch(self, queries: Floats) -> Floats:
        """See :class:`ItemVectors`."""
        found: Floats = np.dot(queries, self._table.T)
        return found

    def likeness(self, direction: Floats) -> Floats:
        """See :class:`ItemVectors`."""
        found = self.scores(direction)
        found *= self._scale
        return found

    def appended(self, vectors: Floats) -> FullVectors:
        """See :class:`ItemVectors`."""
        return FullVectors(np.concatenate([self._table, vectors]))

    def in_rows(self, rows: NDArray[np.integer], size: int) -> FullVectors:
        """See :class:`ItemVectors`."""
        found = copy(self)
        found._table = scattered(self._table, rows, size)
        found._scale = scattered(self._scale, rows, size)
        return found


def scattered(values: NDArray[T], rows: NDArray[np.integer], size: int) -> NDArray[T]:
    """``values`` [n, …] at ``rows`` [n] of ``size``, and zeros in the rest."""
    found: NDArray[T] = np.zeros((size, *values.shape[1:]), dtype=values.dtype)
    found[rows] = values
    return found


def inverse(lengths: Floats) -> Floats:
    """1/length [n]; 0 for what has no direction."""
    there = lengths > SHORTEST
    return np.where(there, 1 / np.maximum(lengths, SHORTEST), 0).astype(np.float32)
