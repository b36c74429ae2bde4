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
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.word_index import WordIndex
from services.recommendations.domain.words import words_of
from services.shared.model_input import Vocabulary

NO_CATEGORY: Final = 0
"""The code of products without a category."""


class Listing(NamedTuple):
    """What a product is, as far as answers show it or search finds it."""

    title: str
    category_path: tuple[str, ...]
    merchant_id: str
    brand: str = ""


class Price(NamedTuple):
    """What one piece costs: ``units`` and billionths (``nanos``) of ``currency``."""

    currency: str
    units: int
    nanos: int


class Terms(NamedTuple):
    """On what terms a product can be had now."""

    price: Price | None
    available: bool


_UNOFFERED: Final = Terms(price=None, available=True)


class Catalog:
    """The products of one shop."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        """That the catalogue began with, whose products have the first rows."""
        self.vector_rows = len(vocabulary) + 1
        self.available: NDArray[np.bool_] = np.zeros(self.vector_rows, dtype=np.bool_)
        """[capacity] whether a row may be shown: listed, for sale, in stock."""
        self.categories: NDArray[np.int32] = np.zeros(self.vector_rows, dtype=np.int32)
        """[capacity] a code for each whole category path; 0 means none."""
        self.index = WordIndex()
        self.listed = 0
        """How many products there are, available or not."""
        self.revision = 0
        """One more with each change."""
        self._listings: list[Listing | None] = [None] * self.vector_rows
        self._terms: list[Terms | None] = [None] * self.vector_rows
        self._extra_rows: dict[str, int] = {}
        self._extra_ids: list[str] = []
        self._learned_by = bytearray()
        """Of each row behind the first ones, how many models that are loaded have learned it."""
        self._free: list[int] = []
        self._codes: dict[tuple[str, ...], int] = {(): NO_CATEGORY}
        self._paths: list[tuple[str, ...]] = [()]
        self._path_words: list[tuple[str, ...]] = [()]

    @property
    def rows(self) -> int:
        """How many rows are in use or were; beyond them all columns are empty."""
        return self.vector_rows + len(self._extra_ids)

    def row(self, product_id: str) -> int | None:
        """The row of a product that is listed, available or not; else None."""
        row = self.known_row(product_id)
        return row if row and self._listings[row] is not None else None

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
        listing = self._listings[row]
        if listing is None:
            raise LookupError(f"row {row} is not listed")
        return listing

    def title_or_id(self, product_id: str) -> str:
        """A product's title, or its id while it is not listed."""
        row = self.row(product_id)
        return product_id if row is None else self.listing(row).title

    def price(self, row: int) -> Price | None:
        """What the product of a row costs, where the shop said so."""
        return (self._terms[row] or _UNOFFERED).price

    @property
    def category_paths(self) -> Sequence[tuple[str, ...]]:
        """The paths that the codes of :attr:`categories` stand for."""
        return self._paths

    def put_product(self, product_id: str, listing: Listing) -> None:
        """List a product, or change what it is."""
        row = self._row_for(product_id)
        code = self._category(listing.category_path)
        listing = listing._replace(category_path=self._paths[code])
        known = self._listings[row]
        if known == listing:
            return
        if known is not None:
            self.index.discard(row, self._words(known))
        else:
            self.listed += 1
        self._listings[row] = listing
        self.categories[row] = code
        self.index.add(row, self._words(listing))
        self._refresh(row)

    def remove_product(self, product_id: str) -> None:
        """Take a product out of the catalogue; unknown ones are no error."""
        row = self.known_row(product_id)
        known = self._listings[row] if row else None
        if known is None:
            return
        self.index.discard(row, self._words(known))
        self.listed -= 1
        self._listings[row] = None
        self.categories[row] = NO_CATEGORY
        self._refresh(row)
        self._release(product_id, row)

    def put_offer(self, product_id: str, terms: Terms) -> None:
        """Say on what terms a product can be had; it may be listed later."""
        row = self._row_for(product_id)
        self._terms[row] = terms
        self._refresh(row)

    def remove_offer(self, product_id: str) -> None:
        """Forget the terms: the product counts as available, at no known price."""
        row = self.known_row(product_id)
        if row:
            self._terms[row] = None
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
        terms = self._terms[row] or _UNOFFERED
        self.available[row] = self._listings[row] is not None and terms.available
        self.revision += 1

    def _words(self, listing: Listing) -> list[str]:
        """The words that find a product: of its title, brand and categories."""
        words = dict.fromkeys(words_of(f"{listing.title} {listing.brand}"))
        words.update(dict.fromkeys(self._path_words[self._codes[listing.category_path]]))
        return list(words)

    def _category(self, path: tuple[str, ...]) -> int:
        code = self._codes.get(path)
        if code is None:
            code = self._codes[path] = len(self._paths)
            self._paths.append(path)
            self._path_words.append(tuple(words_of(" ".join(path))))
        return code

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
            self._listings.append(None)
            self._terms.append(None)
            if row >= len(self.available):
                self._grow()
        self._extra_rows[product_id] = row
        return row

    def _release(self, product_id: str, row: int) -> None:
        """Let another product have a row behind the first ones that holds nothing any more."""
        empty = self._listings[row] is None and self._terms[row] is None
        if row >= self.vector_rows and empty and not self._learned_by[row - self.vector_rows]:
            del self._extra_rows[product_id]
            self._free.append(row)

    def _grow(self) -> None:
        more = max(1_024, len(self.available))
        self.available = np.concatenate([self.available, np.zeros(more, dtype=np.bool_)])
        self.categories = np.concatenate([self.categories, np.zeros(more, dtype=np.int32)])
