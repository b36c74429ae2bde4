"""What an expression may ask of a product and of the shopper: :data:`FIELDS`, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.columns import NOTHING, Coded, objects
from services.recommendations.domain.filters.outcomes import Outcome, Truth
from services.recommendations.domain.product_columns import NEVER
from services.recommendations.domain.shopper import (
    MICROSECONDS_A_DAY,
    PATH_SEPARATOR,
    Shopper,
)

MICROSECONDS_A_MINUTE: Final = 60_000_000


class Distinct(NamedTuple):
    """The distinct values of a column."""

    values: NDArray[np.object_]
    """[m]"""
    error: Truth
    """[m] where the value stands for there being none."""
    codes: NDArray[np.int32] | None
    """[n] which of them each row has; None: row i has the i-th."""


NO_DISTINCT: Final = Distinct(objects([]), error=False, codes=None)


@dataclass(frozen=True, slots=True)
class Scope:
    """For which rows of which catalogue, for whom and when something is computed."""

    catalog: Catalog
    rows: NDArray[np.intp] | None
    """None: all."""
    shopper: Shopper
    minute: int
    """The time in whole minutes since 1970, so that what is kept holds for a minute."""
    bound: Mapping[str, Outcome] = field(default_factory=dict)
    """What the variables of ``exists`` and ``all`` stand for."""
    distinct: Distinct = NO_DISTINCT
    """Those that are asked, where it is not the rows."""

    def of(self, column: NDArray[Any]) -> NDArray[Any]:
        """[n] the rows' values in a column of the catalogue."""
        return column[: self.catalog.rows] if self.rows is None else column[self.rows]

    def binding(self, name: str, outcome: Outcome) -> Scope:
        """With a variable more."""
        return replace(self, bound={**self.bound, name: outcome})

    def numbers(self) -> range | list[int]:
        """The rows."""
        return range(self.catalog.rows) if self.rows is None else self.rows.tolist()


@dataclass(frozen=True, slots=True)
class RowField:
    """A field of products that is read row by row."""

    type: str
    read: Callable[[Scope], Outcome] = field(repr=False, compare=False)
    timed: bool = False
    """Whether it changes with the time alone."""


@dataclass(frozen=True, slots=True)
class CodedField:
    """A field of products that has few distinct values."""

    type: str
    source: str
    """The column it is made of: fields of one column can be asked together."""
    read: Callable[[Scope], Distinct] = field(repr=False, compare=False)
    made: Callable[[Any], Any] | None = field(default=None, repr=False, compare=False)
    """From a value of the column to that of the field, where they differ."""


@dataclass(frozen=True, slots=True)
class ShopperField:
    """A field of the shopper: one value for a call."""

    type: str
    read: Callable[[Shopper], Any] = field(repr=False, compare=False)


def _coded(column_of: Callable[[Catalog], Coded[Any]]) -> Callable[[Scope], Distinct]:
    def read(scope: Scope) -> Distinct:
        column = column_of(scope.catalog)
        codes, values = scope.of(column.codes), column.values
        if len(codes) < len(values):
            return Distinct(
                objects([values[code] for code in codes.tolist()]), error=False, codes=None
            )
        return Distinct(objects(values), error=False, codes=codes)

    return read


def attribute(name: str) -> CodedField:
    """What products have under one name of ``product.attributes``; an error where nothing."""

    def read(scope: Scope) -> Distinct:
        attributes = scope.catalog.products.attributes
        if scope.rows is not None:
            found = attributes.under(name, scope.rows.tolist())
            missing = np.array([text is None for text in found], dtype=np.bool_)
            return Distinct(objects([text or "" for text in found]), missing, None)
        values, codes = attributes.named(name, scope.catalog.rows)
        return Distinct(objects(values), np.arange(len(values)) == NOTHING, codes)

    return CodedField("string", f"product.attributes[{name!r}]", read)


def _ids(scope: Scope) -> Outcome:
    product_id = scope.catalog.product_id
    return Outcome(objects([product_id(row) if row else "" for row in scope.numbers()]))


def _titles(scope: Scope) -> Outcome:
    titles = scope.catalog.products.titles
    if scope.rows is None:
        return Outcome(objects(titles[: scope.catalog.rows]))
    return Outcome(objects([titles[row] for row in scope.numbers()]))


def _prices(scope: Scope) -> Outcome:
    offers = scope.catalog.offers
    return Outcome(scope.of(offers.prices), scope.of(offers.currencies.codes) == NOTHING)


def _ages(scope: Scope) -> Outcome:
    listed_at = scope.of(scope.catalog.products.listed_at)
    ages = (scope.minute * MICROSECONDS_A_MINUTE - listed_at) / MICROSECONDS_A_DAY
    return Outcome(np.where(listed_at == NEVER, np.inf, ages))


_BRANDS: Final = _coded(lambda catalog: catalog.products.brands)
_MERCHANTS: Final = _coded(lambda catalog: catalog.products.merchants)
_PATHS: Final = _coded(lambda catalog: catalog.products.paths)
_CURRENCIES: Final = _coded(lambda catalog: catalog.offers.currencies)

ProductField = RowField | CodedField

PRODUCT_FIELDS: Final[Mapping[str, ProductField]] = {
    "product.id": RowField("string", _ids),
    "product.title": RowField("string", _titles),
    "product.brand": CodedField("string", "brand", _BRANDS),
    "product.category": CodedField("string", "path", _PATHS, PATH_SEPARATOR.join),
    "product.categories": CodedField("list(string)", "path", _PATHS),
    "product.merchant": CodedField("string", "merchant", _MERCHANTS),
    "product.price": RowField("double", _prices),
    "product.currency": CodedField("string", "currency", _CURRENCIES),
    "product.has_price": RowField(
        "bool", lambda scope: Outcome(scope.of(scope.catalog.offers.currencies.codes) != NOTHING)
    ),
    "product.age_days": RowField("double", _ages, timed=True),
    "product.available": RowField("bool", lambda scope: Outcome(scope.of(scope.catalog.available))),
}

SHOPPER_FIELDS: Final[Mapping[str, ShopperField]] = {
    f"shopper.{name}": ShopperField(kind, attrgetter(name))
    for name, kind in {
        "known": "bool",
        "signed_in": "bool",
        "purchases": "int",
        "days_since_seen": "double",
        "language": "string",
        "country": "string",
        "device": "string",
        "brands": "list(string)",
        "categories": "list(string)",
        "median_price": "double",
    }.items()
}

ATTRIBUTES: Final = "product.attributes"

FIELDS: Final[Mapping[str, str]] = {
    **{name: each.type for name, each in PRODUCT_FIELDS.items()},
    **{name: each.type for name, each in SHOPPER_FIELDS.items()},
    ATTRIBUTES: "map(string, string)",
}
"""Each field and its type, in CEL's words."""
