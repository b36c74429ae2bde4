"""Where products lie that a model has not learned: the vectors of what the catalogue has beside.

A product that was listed a minute ago is placed by what it is (its category, brand, merchant, price
and words) among those that the model has learned, and is scored as they are. A product without a
vector is like nothing, and has no score.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.learned import Learned, Model
from services.shared.content_input import ProductContent
from services.shared.item_vectors import Floats, inverse

AT_ONCE: Final = 256
"""Products that are placed in one go: about a millisecond."""
BILLIONTH: Final = 1e-9


class Placed:
    """Of one model and one catalogue; k products are placed."""

    def __init__(self, catalog: Catalog, learned: Learned) -> None:
        self._catalog, self._learned = catalog, learned
        self._rows: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        """[k], ascending."""
        self._vectors: Floats = np.zeros((0, learned.vectors.dimensions), dtype=np.float32)
        self._scale: Floats = np.zeros(0, dtype=np.float32)
        """[k] 1/length."""
        self._revision = -1

    @property
    def count(self) -> int:
        """How many products are placed."""
        return len(self._rows)

    def refresh(self, model: Model) -> Iterator[None]:
        """Place what has changed since the last time, in slices; each step is one slice."""
        changes = self._catalog.changes
        changed = changes.since(self._revision) if self._revision >= 0 else None
        self._revision = changes.revision
        rows = np.arange(self._catalog.rows) if changed is None else changed
        unknown = self._learned.unlearned(rows)
        for start in range(0, len(unknown), AT_ONCE):
            self._place(unknown[start : start + AT_ONCE], model)
            yield

    def directions(self, rows: NDArray[np.intp]) -> Floats:
        """[k, d] at length 1 of any rows; zeros where there is no vector."""
        vectors = self._learned.vectors
        found = vectors.directions(np.where(rows < vectors.size, rows, 0))
        if len(self._rows):
            places = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
            ours = np.flatnonzero(self._rows[places] == rows)
            found[ours] = self._vectors[places[ours]] * self._scale[places[ours], None]
        return found

    def scores(self, query: Floats, total: Floats) -> None:
        """Write query · vector of each placed product into ``total`` [rows], at its row."""
        total[self._rows] = self._vectors @ query

    def likeness(self, direction: Floats, total: Floats) -> None:
        """The same with the cosine of a direction of length 1."""
        total[self._rows] = self._vectors @ direction * self._scale

    def _place(self, rows: NDArray[np.intp], model: Model) -> None:
        """Place those of ``rows`` that are listed, and forget where the others were."""
        listed = rows[self._catalog.products.listed[rows]]
        contents = [self._content(row) for row in listed.tolist()]
        titles = [self._catalog.products.titles[row] for row in listed.tolist()]
        vectors = model.place(contents, titles) if contents else None
        if vectors is None:
            listed, vectors = listed[:0], self._vectors[:0]
        stay = np.isin(self._rows, rows, invert=True)
        every = np.concatenate([self._rows[stay], listed])
        order = np.argsort(every, kind="stable")
        self._rows = every[order]
        self._vectors = np.concatenate([self._vectors[stay], vectors])[order]
        self._scale = inverse(np.linalg.norm(self._vectors, axis=1))

    def _content(self, row: int) -> ProductContent:
        products, price = self._catalog.products, self._catalog.price(row)
        return ProductContent(
            products.paths[row],
            products.brands[row],
            products.merchants[row],
            None if price is None else price.units + price.nanos * BILLIONTH,
        )


class Placements:
    """What is placed for each model and catalogue, for as long as there are both."""

    def __init__(self) -> None:
        self._placed: WeakKeyDictionary[Model, WeakKeyDictionary[Catalog, Placed]]
        self._placed = WeakKeyDictionary()

    def of(self, model: Model, catalog: Catalog) -> Placed:
        """What is placed; nothing, until the first refresh after this."""
        by_catalog = self._placed.setdefault(model, WeakKeyDictionary())
        placed = by_catalog.get(catalog)
        if placed is None:
            placed = by_catalog[catalog] = Placed(catalog, model.learned)
        return placed

    def refresh(self) -> Iterator[None]:
        """Place what has changed, for every model and catalogue that was asked for, in slices."""
        for model, by_catalog in list(self._placed.items()):
            for placed in list(by_catalog.values()):
                yield from placed.refresh(model)
