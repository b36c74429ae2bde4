"""What the products of a shop are, and on what terms they can be had, by row."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.attributes import Attributes
from services.recommendations.domain.columns import NOTHING, Coded, grown
from services.recommendations.domain.listing import UNOFFERED, Listing, Price, Terms

NEVER: Final = np.iinfo(np.int64).min
"""When a product was listed of which the shop did not say."""

BILLION: Final = 1_000_000_000


class ProductColumns:
    """What products are; a row that lists none is empty in all columns."""

    def __init__(self, rows: int) -> None:
        self.listed: NDArray[np.bool_] = np.zeros(rows, dtype=np.bool_)
        self.titles = [""] * rows
        self.brands = Coded(rows, "")
        self.merchants = Coded(rows, "")
        self.paths: Coded[tuple[str, ...]] = Coded(rows, ())
        self.attributes = Attributes(rows)
        self.listed_at: NDArray[np.int64] = np.full(rows, NEVER, dtype=np.int64)
        """Microseconds since 1970, or :data:`NEVER`."""

    def put(self, row: int, listing: Listing) -> None:
        """The row lists this product now."""
        self.listed[row] = True
        self._set(row, listing)

    def clear(self, row: int) -> None:
        """The row lists nothing any more."""
        self._set(row, Listing("", (), ""))
        self.listed[row] = False

    def _set(self, row: int, listing: Listing) -> None:
        self.titles[row] = listing.title
        self.brands[row] = listing.brand
        self.merchants[row] = listing.merchant_id
        self.paths[row] = listing.category_path
        self.attributes[row] = listing.attributes
        self.listed_at[row] = NEVER if listing.listed_at is None else listing.listed_at

    def listing(self, row: int) -> Listing | None:
        """What the row lists."""
        if not self.listed[row]:
            return None
        at = int(self.listed_at[row])
        return Listing(
            self.titles[row],
            self.paths[row],
            self.merchants[row],
            self.brands[row],
            self.attributes[row],
            None if at == NEVER else at,
        )

    def grow(self, size: int) -> None:
        """Make ``size`` places."""
        self.listed = grown(self.listed, size)
        self.titles += [""] * (size - len(self.titles))
        self.listed_at = grown(self.listed_at, size, NEVER)
        for column in (self.brands, self.merchants, self.paths, self.attributes):
            column.grow(size)


class OfferColumns:
    """On what terms; a row without an offer has the terms of :data:`UNOFFERED`."""

    def __init__(self, rows: int) -> None:
        self.offered: NDArray[np.bool_] = np.zeros(rows, dtype=np.bool_)
        self.available: NDArray[np.bool_] = np.ones(rows, dtype=np.bool_)
        self.currencies = Coded(rows, "")
        """Empty where the price is not known."""
        self.prices: NDArray[np.float64] = np.zeros(rows, dtype=np.float64)
        """For comparing; of a price with two decimals what its digits are as a literal."""
        self._nanos: NDArray[np.int64] = np.zeros(rows, dtype=np.int64)
        """Billionths of the currency, exactly; the contract's limit is a ninth of what fits."""

    def put(self, row: int, terms: Terms) -> None:
        """The row's product can be had on these terms."""
        self.offered[row] = True
        self._set(row, terms)

    def clear(self, row: int) -> None:
        """Of the row's product no offer is known any more."""
        self.offered[row] = False
        self._set(row, UNOFFERED)

    def _set(self, row: int, terms: Terms) -> None:
        price = terms.price or Price("", 0, 0)
        self.available[row] = terms.available
        self.currencies[row] = price.currency
        nanos = self._nanos[row] = price.units * BILLION + price.nanos
        self.prices[row] = nanos / BILLION

    def price(self, row: int) -> Price | None:
        """What the row's product costs, where the shop said so."""
        if self.currencies.codes[row] == NOTHING:
            return None
        return Price(self.currencies[row], *divmod(int(self._nanos[row]), BILLION))

    def grow(self, size: int) -> None:
        """Make ``size`` places."""
        self.offered = grown(self.offered, size)
        self.available = grown(self.available, size, fill=True)
        self.prices = grown(self.prices, size)
        self._nanos = grown(self._nanos, size)
        self.currencies.grow(size)
