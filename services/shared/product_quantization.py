"""Item vectors as product codes: a few bytes a product, scored exactly from small tables.

A vector of d numbers is cut into m parts, and each part is replaced by the nearest of 256
centroids: m bytes say which ("Product Quantization for Nearest Neighbor Search", Jégou, Douze
and Schmid, TPAMI 2011). RecJPQ showed that sequential recommenders keep their accuracy with such
items (Petrov and Macdonald, WSDM 2024). The vector of a product *is* what its code stands for,
in histories and in scores alike.

::

    codes      [n, m] uint8              row 0 is padding: zeros, whatever its codes say
    codebooks  [m, 256, d/m] float32     centroid c of part j

The score of a product is Σⱼ tⱼ[codeⱼ] with tⱼ[c] = queryⱼ · centroid c of part j: m·256 products
of d/m numbers once a query, then m additions a product. Nothing is approximated and no product
is skipped, so the best k are the best k of the vectors that the codes stand for. Products of the
same code have the same score to the last bit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.shared.item_vectors import Floats, inverse

CENTROIDS: Final = 256

CHUNK: Final = 1 << 16
"""Products that are scored at once: what a chunk writes stays in the processor's cache."""

NEAREST_CHUNK: Final = 1 << 14
"""Vectors that are encoded at once: 16 MB of distances."""


def encode(vectors: Floats, codebooks: Floats) -> NDArray[np.uint8]:
    """The codes [n, m] of vectors [n, d]: in each part the nearest centroid, ties to the first."""
    parts, _, width = codebooks.shape
    codes = np.empty((len(vectors), parts), dtype=np.uint8)
    for part, centroids in enumerate(codebooks):
        codes[:, part] = nearest(vectors[:, part * width : (part + 1) * width], centroids)
    return codes


def nearest(points: Floats, centroids: Floats) -> NDArray[np.intp]:
    """For each of points [n, w] the nearest of centroids [c, w]: [n], ties to the first."""
    half = (centroids.astype(np.float64) ** 2).sum(axis=1) / 2
    found = np.empty(len(points), dtype=np.intp)
    for start in range(0, len(points), NEAREST_CHUNK):
        chunk = points[start : start + NEAREST_CHUNK]
        # Half of |p|² - 2p·c + |c|², without |p|², which is the same for all c.
        found[start : start + len(chunk)] = (half - chunk @ centroids.T).argmin(axis=1)
    return found


class CodedVectors:
    """See the module. Two codes are kept as one 16-bit number: half as many look-ups a product."""

    def __init__(self, codes: NDArray[np.uint8], codebooks: Floats) -> None:
        """Take ``codes`` [n, m] and ``codebooks`` [m, 256, d/m]."""
        parts = len(codebooks)
        self.codebooks: Floats = np.ascontiguousarray(codebooks, dtype=np.float32)
        """[m, 256, d/m]."""
        even = np.zeros((parts + parts % 2, len(codes)), dtype=np.uint16)
        even[:parts] = codes.T
        self._pairs: NDArray[np.uint16] = even[0::2] * np.uint16(CENTROIDS) + even[1::2]
        squares = self._looked_up(np.square(self.codebooks).sum(axis=2))
        self._scale = inverse(np.sqrt(squares))

    @property
    def size(self) -> int:
        """See :class:`services.shared.item_vectors.ItemVectors`, as for all that follow."""
        return int(self._pairs.shape[1])

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has: d."""
        parts, _, width = self.codebooks.shape
        return int(parts * width)

    @property
    def nbytes(self) -> int:
        """Codes, codebooks and one float32 a product for cosines."""
        return self._pairs.nbytes + self.codebooks.nbytes + self._scale.nbytes

    @property
    def codes(self) -> NDArray[np.uint8]:
        """[n, m], as they were given."""
        halves = np.stack([self._pairs >> 8, self._pairs & 255], axis=1).astype(np.uint8)
        return np.ascontiguousarray(halves.reshape(-1, self.size)[: len(self.codebooks)].T)

    def rows(self, indices: NDArray[np.integer]) -> Floats:
        """Vectors [..., d] put together from their centroids."""
        parts, _, width = self.codebooks.shape
        found = np.empty((*indices.shape, parts, width), dtype=np.float32)
        for part in range(parts):
            pair = self._pairs[part // 2, indices]
            code = pair & 255 if part % 2 else pair >> 8
            found[..., part, :] = self.codebooks[part, code]
        found[indices == 0] = 0
        return found.reshape(*indices.shape, -1)

    def directions(self, indices: NDArray[np.integer]) -> Floats:
        """:meth:`rows` at length 1."""
        return self.rows(indices) * self._scale[indices, None]

    def scores(self, query: Floats) -> Floats:
        """[n], by tables."""
        parts, _, width = self.codebooks.shape
        asked = query.reshape(parts, width, 1)
        return self._looked_up(np.matmul(self.codebooks, asked)[..., 0])

    def scores_batch(self, queries: Floats) -> Floats:
        """[B, n], one query after the other."""
        return np.stack([self.scores(query) for query in queries])

    def cosines(self, index: int) -> Floats:
        """[n], by tables."""
        return self.scores(self.directions(np.array([index]))[0]) * self._scale

    def appended(self, vectors: Floats) -> CodedVectors:
        """More products, encoded on the same codebooks; what was there keeps its codes."""
        more = encode(np.asarray(vectors, dtype=np.float32), self.codebooks)
        return CodedVectors(np.concatenate([self.codes, more]), self.codebooks)

    def _looked_up(self, tables: Floats) -> Floats:
        """The sum of tables [m, 256] at every product's codes: [n]; 0 for padding."""
        even = np.zeros((2 * len(self._pairs), CENTROIDS), dtype=np.float32)
        even[: len(tables)] = tables
        pairs = (even[0::2, :, None] + even[1::2, None, :]).reshape(len(self._pairs), -1)
        total = np.empty(self.size, dtype=np.float32)
        more = np.empty(min(CHUNK, self.size), dtype=np.float32)
        # Every 16-bit code has its place in a table; "clip" only spares NumPy a check.
        for number, (table, codes) in enumerate(zip(pairs, self._pairs, strict=True)):
            for start in range(0, self.size, CHUNK):
                out, chunk = total[start : start + CHUNK], codes[start : start + CHUNK]
                if number:
                    out += np.take(table, chunk, out=more[: len(out)], mode="clip")
                else:
                    np.take(table, chunk, out=out, mode="clip")
        total[:1] = 0
        return total
