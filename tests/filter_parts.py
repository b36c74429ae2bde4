"""What tests of filters share: small catalogues, and the library's own word on each product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from services.recommendations.domain.catalog import Catalog, Listing, Price, Terms
from services.recommendations.domain.filters.expression import compile_expression
from services.recommendations.domain.filters.language import environment
from services.recommendations.domain.shopper import STRANGER, Shopper
from services.shared.model_input import Vocabulary

MINUTE: Final = 60_000_000
DAY: Final = 86_400_000_000
NOW: Final = 29_500_000 * MINUTE
LEARNED: Final = ("a", "b", "c")


class Offered(NamedTuple):
    """What a shop says of one product; either part may be missing."""

    listing: Listing | None
    terms: Terms | None = None


def catalog_of(products: Mapping[str, Offered]) -> Catalog:
    """A catalogue whose model has learned :data:`LEARNED`."""
    catalog = Catalog(Vocabulary(LEARNED))
    for product_id, (listing, terms) in products.items():
        if listing is not None:
            catalog.put_product(product_id, listing)
        if terms is not None:
            catalog.put_offer(product_id, terms)
    return catalog


def priced(text: str, currency: str = "EUR", *, available: bool = True) -> Terms:
    """Terms at a price of two decimals at most."""
    units, _, decimals = text.partition(".")
    return Terms(Price(currency, int(units), int(decimals.ljust(9, "0"))), available)


def shown(text: str, catalog: Catalog, shopper: Shopper = STRANGER, *, now: int = NOW) -> set[str]:
    """The products of which the expression is true, by the columns."""
    mask = compile_expression(text).mask(catalog, shopper, now)
    assert len(mask) == catalog.rows
    return {catalog.product_id(int(row)) for row in mask.nonzero()[0]}


def shown_by_library(
    text: str, products: Mapping[str, Offered], shopper: Shopper, *, now: int = NOW
) -> set[str]:
    """The same by the library's evaluator, product by product; what fails is not true."""
    expression = environment().compile(text)
    found = set()
    for product_id, offered in products.items():
        if offered.listing is not None:
            data = {**_product(product_id, offered, now), **_shopper(shopper)}
            result = expression.eval(data=data)
            assert result.type().name() in ("BOOL", "ERROR")
            if result.type().name() == "BOOL" and result.value():
                found.add(product_id)
    return found


def _product(product_id: str, offered: Offered, now: int) -> dict[str, Any]:
    listing, terms = offered.listing, offered.terms or Terms(None, available=True)
    assert listing is not None
    minute = now // MINUTE * MINUTE
    age = float("inf") if listing.listed_at is None else (minute - listing.listed_at) / DAY
    fields = {
        "id": product_id,
        "title": listing.title,
        "brand": listing.brand,
        "category": " > ".join(listing.category_path),
        "categories": list(listing.category_path),
        "merchant": listing.merchant_id,
        "currency": terms.price.currency if terms.price else "",
        "has_price": terms.price is not None,
        "attributes": dict(listing.attributes),
        "age_days": age,
        "available": terms.available,
    }
    if terms.price is not None:  # else the field is not there, and asking for it an error
        fields["price"] = terms.price.units + terms.price.nanos / 10**9
    return {f"product.{name}": value for name, value in fields.items()}


def _shopper(shopper: Shopper) -> dict[str, Any]:
    names = (
        "known signed_in purchases days_since_seen language country device brands categories "
        "median_price"
    )
    values = {name: getattr(shopper, name) for name in names.split()}
    return {
        f"shopper.{name}": list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }
