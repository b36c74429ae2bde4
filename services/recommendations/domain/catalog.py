"""One shop's products as columns, ready to be masked and scored as a whole.

A row is a product, for as long as the product is listed or a model that is loaded has learned it.
Rows below :attr:`Catalog.vector_rows` are those of the vocabulary that the catalogue began with:
row i is its product i (row 0, padding, is never listed), and stays that. All other products get
rows behind them. A model has its tables in these rows, so scoring needs no gathering: a later
model, of another vocabulary, takes rows for its products (:meth:`Catalog.take_rows`) before it
is used, and gives them back when it is gone. What a model has not learned has no vector, so the
model cannot score it; search words, trending and popular products and likeness by category reach
it all the same.

A catalogue is the one thing here that changes: it belongs to the event loop that feeds it,
and every change is small. Columns grow by doubling.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.changes import Changes
from services.recommendations.domain.columns import NOTHING, grown
from services.recommendations.domain.kept_masks import KeptMasks
from services.recommendations.domain.listing import Listing, Price, Terms
from services.recommendations.domain.product_columns import OfferColumns, ProductColumns
from services.recommendations.domain.word_index import WordIndex
from services.recommendations.domain.words import words_of
from services.shared.model_input import Vocabulary

__all__ = ["NO_CATEGORY", "Catalog", "Listing", "Price", "Terms"]

NO_CATEGORY: Final = NOTHING
"""The code of products without a category."""


class Catalog:
    """The products of one shop."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        """That the catalogue began with, whose products have the first rows."""
        self.vector_rows = len(vocabulary) + 1
        self.available: NDArray[np.bool_] = np.zeros(self.vector_rows, dtype=np.bool_)
        """[capacity] whether a row may be shown: listed, for sale, in stock."""
        self.products = ProductColumns(self.vector_rows)
        self.offers = OfferColumns(self.vector_rows)
        self.index = WordIndex()
        self.listed = 0
        """How many products there are, available or not."""
        self.changes = Changes()
        self.kept = KeptMasks()
        """What filters say of the rows."""
        self._extra_rows: dict[str, int] = {}
        self._extra_ids: list[str] = []
        self._learned_by = bytearray()
        """Of each row behind the first ones, how many models that are loaded have learned it."""
        self._free: list[int] = []

    @property
    def rows(self) -> int:
        """How many rows are in use or were; beyond them all columns are empty."""
        return self.vector_rows + len(self._extra_ids)

    def row(self, product_id: str) -> int | None:
        """The row of a product that is listed, available or not; else None."""
        row = self.known_row(product_id)
        return row if row and self.products.listed[row] else None

    def lacks(self, product_ids: Sequence[str]) -> int:
        """How many of these are not listed."""
        rows = np.array(self.vocabulary.indices(product_ids), dtype=np.intp)
        learned = int(np.count_nonzero(self.products.listed[rows]))
        unknown = np.flatnonzero(rows == 0).tolist()
        others = sum(self.row(product_ids[place]) is not None for place in unknown)
        return len(rows) - learned - others

    def known_row(self, product_id: str) -> int:
        """The row that a product has, listed or not, by what a model has learned too; else 0."""
        return self.vocabulary.index(product_id) or self._extra_rows.get(product_id, 0)

    def product_id(self, row: int) -> str:
        """The product of a row that is or was in use."""
        if row < self.vector_rows:
            return self.vocabulary.product_id(row)
        return self._extra_ids[row - self.vector_rows]

    def listing(self, row: int) -> Listing:
        """What the product of a listed row is. Raises LookupError for another row."""
        listing = self.products.listing(row)
        if listing is None:
            raise LookupError(f"row {row} is not listed")
        return listing

    def title_or_id(self, product_id: str) -> str:
        """A product's title, or its id while it is not listed."""
        row = self.row(product_id)
        return product_id if row is None else self.products.titles[row]

    def price(self, row: int) -> Price | None:
        """What the product of a row costs, where the shop said so."""
        return self.offers.price(row)

    @property
    def categories(self) -> NDArray[np.int32]:
        """[capacity] a code for each whole category path; 0 means none."""
        return self.products.paths.codes

    @property
    def category_paths(self) -> Sequence[tuple[str, ...]]:
        """The paths that the codes of :attr:`categories` stand for."""
        return self.products.paths.values

    def put_product(self, product_id: str, listing: Listing) -> None:
        """List a product, or change what it is."""
        row = self._row_for(product_id)
        known = self.products.listing(row)
        if known == listing:
            return
        before = _words(known) if known else {}
        after = _words(listing)
        self.index.discard(row, before.keys() - after.keys())
        self.index.add(row, after.keys() - before.keys())
        self.listed += known is None
        self.products.put(row, listing)
        self._refresh(row)

    def remove_product(self, product_id: str) -> None:
        """Take a product out of the catalogue; unknown ones are no error."""
        row = self.known_row(product_id)
        known = self.products.listing(row) if row else None
        if known is None:
            return
        self.index.discard(row, _words(known))
        self.listed -= 1
        self.products.clear(row)
        self._refresh(row)
        self._release(product_id, row)

    def put_offer(self, product_id: str, terms: Terms) -> None:
        """Say on what terms a product can be had; it may be listed later."""
        row = self._row_for(product_id)
        self.offers.put(row, terms)
        self._refresh(row)

    def remove_offer(self, product_id: str) -> None:
        """Forget the terms: the product counts as available, at no known price."""
        row = self.known_row(product_id)
        if row:
            self.offers.clear(row)
            self._refresh(row)
            self._release(product_id, row)

    def take_rows(self, product_ids: Iterable[str]) -> list[int]:
        """The rows of products that a model has learned, kept for them until they are given back.

        The caller goes by slices where there are many: a product takes about half a microsecond.
        Ids that are new are copied: kept as they are, scattered among all others of a vocabulary,
        they would keep its memory from being free when it is gone.
        """
        found = []
        for product_id in product_ids:
            row = self.known_row(product_id) or self._row_for(product_id.encode().decode())
            if row >= self.vector_rows:
                self._learned_by[row - self.vector_rows] += 1
            found.append(row)
        return found

    def give_back_rows(self, rows: Iterable[int]) -> None:
        """A model is gone for which these were taken: others may have what holds nothing else."""
        for row in rows:
            if row >= self.vector_rows:
                self._learned_by[row - self.vector_rows] -= 1
                self._release(self.product_id(row), row)

    def _refresh(self, row: int) -> None:
        self.available[row] = self.products.listed[row] and self.offers.available[row]
        self.changes.note(row)

    def _row_for(self, product_id: str) -> int:
        row = self.known_row(product_id)
        if row:
            return row
        if self._free:
            row = self._free.pop()
            self._extra_ids[row - self.vector_rows] = product_id
        else:
            row = self.rows
            self._extra_ids.append(product_id)
            self._learned_by.append(0)
            if row >= len(self.available):
                self._grow()
        self._extra_rows[product_id] = row
        return row

    def _release(self, product_id: str, row: int) -> None:
        """Let another product have a row behind the first ones that holds nothing any more."""
        empty = not self.products.listed[row] and not self.offers.offered[row]
        if row >= self.vector_rows and empty and not self._learned_by[row - self.vector_rows]:
            del self._extra_rows[product_id]
            self._free.append(row)

    def _grow(self) -> None:
        size = len(self.available) + max(1_024, len(self.available))
        self.available = grown(self.available, size)
        self.products.grow(size)
        self.offers.grow(size)


def _words(listing: Listing) -> dict[str, None]:
    """The words that find a product: of its title, brand and categories."""
    text = " ".join([listing.title, listing.brand, *listing.category_path])
    return dict.fromkeys(words_of(text))
