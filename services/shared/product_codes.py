"""Item vectors as product codes: a few bytes a product, scored exactly from small tables.

A product's vector is the direction of a sum of centroids, one of 256 from each of m codebooks:
m bytes say which. The codebooks are those of residual quantization (Chen, Guan and Wang,
"Approximate Nearest Neighbor Search by Residual Vector Quantization", Sensors 2010): each tells
what the sum of those before it left out. Product quantization, where a codebook speaks of a part
of the vector alone (Jégou, Douze and Schmid, TPAMI 2011; for sequential recommenders RecJPQ,
Petrov and Macdonald, WSDM 2024), is the case of centroids that are zero elsewhere. The vector of a
product *is* what its code stands for, in histories and in scores alike.

::

    codes      [n, m] uint8          row 0 is padding: zeros, whatever its codes say
    codebooks  [m, 256, d] float32   centroid c of codebook j
    vᵢ = Σⱼ codebooks[j, codes[i, j]] / |Σⱼ …|

The score of a product is scaleᵢ · Σⱼ tⱼ[codeᵢⱼ] with tⱼ[c] = query · centroid c of codebook j and
scaleᵢ the inverse of the length, as float16: m·256 products of d numbers once a query, then m
additions a product. Nothing is approximated and no product is skipped, so the best k are those
of the vectors that the codes stand for. Products of the same code have the same score to the
last bit.
"""

from __future__ import annotations

from copy import copy
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.shared.item_vectors import Floats, inverse, scattered

CENTROIDS: Final = 256

CHUNK: Final = 1 << 16
"""Products that are scored at once: what a chunk writes stays in the processor's cache."""

BEAM: Final = 4
"""Sums that are kept while a vector is encoded: the nearest centroid first is not the best sum."""

ENCODED_AT_ONCE: Final = 1 << 10
"""Vectors; 4 MB of distances."""


def encode(vectors: Floats, codebooks: Floats) -> NDArray[np.uint8]:
    """Codes [n, m] whose sums are near to vectors [n, d]: the best that a beam search finds.

    After each codebook the :data:`BEAM` nearest sums go on. The same vector has the same codes,
    whatever is encoded with it but for rounding.
    """
    found = np.empty((len(vectors), len(codebooks)), dtype=np.uint8)
    for start in range(0, len(vectors), ENCODED_AT_ONCE):
        found[start : start + ENCODED_AT_ONCE] = _beam(
            vectors[start : start + ENCODED_AT_ONCE], codebooks
        )
    return found


def _beam(vectors: Floats, codebooks: Floats) -> NDArray[np.uint8]:
    """:func:`encode` of vectors [b, d]; B sums of each are kept."""
    rows = np.arange(len(vectors))
    left = vectors[:, None, :]
    """[b, B, d] what the sums leave out."""
    error = np.zeros((len(vectors), 1), dtype=np.float32)
    """[b, B] |left|², without |vector|², which is the same for all."""
    codes = np.zeros((len(vectors), 1, 0), dtype=np.uint8)
    for centroids in codebooks:
        squares = np.square(centroids).sum(axis=1)
        further = error[:, :, None] + squares - 2 * (left @ centroids.T)
        flat = further.reshape(len(vectors), -1)
        kept = np.argpartition(flat, BEAM - 1, axis=1)[:, :BEAM]
        sums, code = np.divmod(kept, CENTROIDS)
        error = np.take_along_axis(flat, kept, axis=1)
        left = left[rows[:, None], sums] - centroids[code]
        codes = np.concatenate(
            [codes[rows[:, None], sums], code[:, :, None].astype(np.uint8)], axis=2
        )
    best: NDArray[np.uint8] = codes[rows, error.argmin(axis=1)]
    return best


def nearest(points: Floats, centroids: Floats) -> NDArray[np.intp]:
    """For each of points [n, d] the nearest of centroids [c, d]: [n], ties to the first."""
    half = (centroids.astype(np.float64) ** 2).sum(axis=1) / 2
    found = np.empty(len(points), dtype=np.intp)
    for start in range(0, len(points), ENCODED_AT_ONCE):
        chunk = points[start : start + ENCODED_AT_ONCE]
        # Half of |p|² - 2p·c + |c|², without |p|², which is the same for all c.
        found[start : start + len(chunk)] = (half - chunk @ centroids.T).argmin(axis=1)
    return found


class CodedVectors:
    """See the module. A product's codes are filled up to a multiple of four, read at once."""

    def __init__(self, codes: NDArray[np.uint8], codebooks: Floats) -> None:
        """Take ``codes`` [n, m] and ``codebooks`` [m, 256, d]."""
        self.codebooks: Floats = np.ascontiguousarray(codebooks, dtype=np.float32)
        """[m, 256, d]."""
        self._codes = _filled(codes)
        self._scale = _scale(codes, self.codebooks)
        self._scale[:1] = 0

    @property
    def size(self) -> int:
        """See :class:`services.shared.item_vectors.ItemVectors`, as for all that follow."""
        return len(self._codes)

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has: d."""
        return int(self.codebooks.shape[2])

    @property
    def nbytes(self) -> int:
        """Codes, codebooks and one float16 a product for its length."""
        return self._codes.nbytes + self.codebooks.nbytes + self._scale.nbytes

    @property
    def codes(self) -> NDArray[np.uint8]:
        """[n, m], as they were given; not to be changed."""
        return self._codes[:, : len(self.codebooks)]

    def rows(self, indices: NDArray[np.integer]) -> Floats:
        """Vectors [..., d] put together from their centroids."""
        codes = self.codes[indices]
        found = np.zeros((*indices.shape, self.dimensions), dtype=np.float32)
        for part, centroids in enumerate(self.codebooks):
            found += centroids[codes[..., part]]
        found *= self._scale[indices, None]
        return found

    def directions(self, indices: NDArray[np.integer]) -> Floats:
        """:meth:`rows`, as those have length 1."""
        return self.rows(indices)

    def scores(self, query: Floats) -> Floats:
        """[n], by tables."""
        from services.shared.code_sums import sums  # here: see there what it takes

        tables = np.zeros((self._codes.shape[1], CENTROIDS), dtype=np.float32)
        np.matmul(self.codebooks, query, out=tables[: len(self.codebooks)])
        found = np.empty(self.size, dtype=np.float32)
        words, scale = self._codes.view("<u4"), self._scale.view(np.uint16)
        sums(words, tables.reshape(-1), scale, found)
        return found

    def scores_batch(self, queries: Floats) -> Floats:
        """[B, n], one query after the other."""
        return np.stack([self.scores(query) for query in queries])

    def likeness(self, direction: Floats) -> Floats:
        """[n], by tables: all vectors have length 1."""
        return self.scores(direction)

    def appended(self, vectors: Floats) -> CodedVectors:
        """More products, encoded on the same codebooks; what was there keeps its codes."""
        codes = encode(np.asarray(vectors, dtype=np.float32), self.codebooks)
        more = copy(self)
        more._codes = np.concatenate([self._codes, _filled(codes)])
        more._scale = np.concatenate([self._scale, _scale(codes, self.codebooks)])
        return more

    def in_rows(self, rows: NDArray[np.integer], size: int) -> CodedVectors:
        """The same elsewhere; where nothing is, the length is 0, and so are vector and score."""
        found = copy(self)
        found._codes = scattered(self._codes, rows, size)
        found._scale = scattered(self._scale, rows, size)
        return found


def _filled(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes [n, m], filled up with zeros."""
    count, parts = codes.shape
    filled = np.zeros((count, -(-parts // 4) * 4), dtype=np.uint8)
    filled[:, :parts] = codes
    return filled


def _scale(codes: NDArray[np.uint8], codebooks: Floats) -> NDArray[np.float16]:
    """The inverse lengths [n] of the sums that codes [n, m] stand for; 0 for next to no length."""
    scale = inverse(np.sqrt(np.maximum(_squares(codes, codebooks), 0)))
    bounds = np.finfo(np.float16)
    scale[(scale > bounds.max) | (scale < bounds.tiny)] = 0
    return scale.astype(np.float16)


def _squares(codes: NDArray[np.uint8], codebooks: Floats) -> Floats:
    """The squared lengths [n] of the sums: the products of each two of their centroids."""
    total = np.zeros(len(codes), dtype=np.float32)
    columns = codes.T.astype(np.uint16)
    for one, other in combinations_with_replacement(range(len(columns)), 2):
        products = codebooks[one] @ codebooks[other].T
        pairs = columns[one] * np.uint16(CENTROIDS)
        pairs += columns[other]
        _add_looked_up(total, (products if one == other else 2 * products).reshape(-1), pairs)
    return total


def _add_looked_up(total: Floats, table: Floats, pairs: NDArray[np.uint16]) -> None:
    """Add table [65536] at ``pairs`` [n] to ``total`` [n], in place."""
    more = np.empty(min(CHUNK, len(total)), dtype=np.float32)
    for start in range(0, len(total), CHUNK):
        out = total[start : start + CHUNK]
        # Every 16-bit number has its place in the table; "clip" only spares NumPy a check.
        chunk = pairs[start : start + CHUNK]
        out += np.take(table, chunk, out=more[: len(out)], mode="clip")
