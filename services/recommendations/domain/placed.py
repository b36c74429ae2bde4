"""Where products lie that the model has not learned: the vectors of the rows behind its own.

A product that was listed a minute ago is placed by what it is (its category, brand, merchant, price
and words) among those that the model has learned, and is scored as they are. A row without a
vector has zeros, is like nothing, and has no score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.columns import grown
from services.recommendations.domain.ranking import HIDDEN
from services.shared.content_input import ProductContent
from services.shared.item_vectors import Floats, ItemVectors, inverse

AT_ONCE: Final = 256
"""Products that are placed in one go: about a millisecond."""
BILLIONTH: Final = 1e-9


class Placer(Protocol):
    """Turns what products are into vectors."""

    def place(self, contents: Sequence[ProductContent], titles: Sequence[str]) -> Floats | None:
        """Vectors [k, d]; None where the model learns nothing of what products are."""
        ...


class Placed:
    """The vectors of one catalogue's rows behind those that the model has learned."""

    def __init__(self, catalog: Catalog, dimensions: int) -> None:
        self._catalog = catalog
        self._vectors: Floats = np.zeros((0, dimensions), dtype=np.float32)
        self._scale: Floats = np.zeros(0, dtype=np.float32)
        """1/length of each; 0 where there is no vector."""
        self._revision = -1

    @property
    def count(self) -> int:
        """How many products are placed."""
        return int(np.count_nonzero(self._scale))

    def refresh(self, placer: Placer) -> Iterator[None]:
        """Place what has changed since the last time, in slices; each step is one slice."""
        catalog, first = self._catalog, self._catalog.vector_rows
        changed = catalog.changes.since(self._revision) if self._revision >= 0 else None
        self._revision = catalog.changes.revision
        rows = np.arange(first, catalog.rows) if changed is None else changed[changed >= first]
        self._grow(catalog.rows - first)
        for start in range(0, len(rows), AT_ONCE):
            self._place(rows[start : start + AT_ONCE], placer)
            yield

    def directions(self, vectors: ItemVectors, rows: NDArray[np.intp]) -> Floats:
        """[k, d] at length 1 of any rows; zeros where there is no vector."""
        first, size = self._catalog.vector_rows, len(self._scale)
        found = vectors.directions(np.where(rows < first, rows, 0))
        behind = np.flatnonzero((rows >= first) & (rows < first + size))
        if len(behind):
            places = rows[behind] - first
            found[behind] = self._vectors[places] * self._scale[places, None]
        return found

    def scores(self, query: Floats, behind: Floats) -> None:
        """Write query · vector of the rows behind to ``behind``; hidden where there is none."""
        behind[:] = HIDDEN
        size = min(len(self._scale), len(behind))
        np.matmul(self._vectors[:size], query, out=behind[:size])
        np.copyto(behind[:size], HIDDEN, where=self._scale[:size] == 0)

    def likeness(self, direction: Floats, behind: Floats) -> None:
        """The same with the cosine of a direction of length 1."""
        self.scores(direction, behind)
        size = min(len(self._scale), len(behind))
        np.multiply(
            behind[:size], self._scale[:size], out=behind[:size], where=self._scale[:size] > 0
        )

    def _place(self, rows: NDArray[np.intp], placer: Placer) -> None:
        places = rows - self._catalog.vector_rows
        self._vectors[places] = 0
        self._scale[places] = 0
        listed = rows[self._catalog.products.listed[rows]]
        contents = [self._content(row) for row in listed.tolist()]
        titles = [self._catalog.products.titles[row] for row in listed.tolist()]
        vectors = placer.place(contents, titles) if contents else None
        if vectors is not None:
            places = listed - self._catalog.vector_rows
            self._vectors[places] = vectors
            self._scale[places] = inverse(np.linalg.norm(vectors, axis=1))

    def _content(self, row: int) -> ProductContent:
        products, price = self._catalog.products, self._catalog.price(row)
        return ProductContent(
            products.paths[row],
            products.brands[row],
            products.merchants[row],
            None if price is None else price.units + price.nanos * BILLIONTH,
        )

    def _grow(self, size: int) -> None:
        if size > len(self._scale):
            room = max(size, 2 * len(self._scale))
            self._scale = grown(self._scale, room)
            more = np.zeros((room - len(self._vectors), self._vectors.shape[1]), dtype=np.float32)
            self._vectors = np.concatenate([self._vectors, more])
